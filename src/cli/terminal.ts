/** Questions to whoever sits at the terminal. A secret is not shown while it is typed, and goes nowhere but to who asked. */
export interface Terminal {
  /** The answer without its line end; undefined: there will be none (end of input, or interrupted). */
  ask(question: string): Promise<string | undefined>;
  askSecret(question: string): Promise<string | undefined>;
}

/** undefined where standard input or standard error is no terminal. */
export function realTerminal(input: NodeJS.ReadStream, output: NodeJS.WriteStream): Terminal | undefined {
  if (!input.isTTY || !output.isTTY) return undefined;
  return {
    async ask(question) {
      const { createInterface } = await import("node:readline/promises");
      const lines = createInterface({ input, output, terminal: true });
      try {
        const ended = new Promise<undefined>((resolve) => lines.once("close", () => resolve(undefined)));
        return await Promise.race([lines.question(question), ended]);
      } catch {
        return undefined;
      } finally {
        lines.close();
        input.pause();
      }
    },
    askSecret: (question) => readSecret(question, input, output),
  };
}

const enter = /[\r\n]/;
const interrupt = "\x03";
const endOfInput = "\x04";
const rubOut = /[\x08\x7f]/;
const eraseLine = "\x15";

function readSecret(
  question: string,
  input: NodeJS.ReadStream,
  output: NodeJS.WriteStream,
): Promise<string | undefined> {
  // Before the question is there to be answered: what is typed earlier would be shown.
  input.setRawMode(true);
  output.write(question);
  input.setEncoding("utf8");
  let typed: string[] = [];
  return new Promise((resolve) => {
    const done = (answer: string | undefined): void => {
      input.off("data", onData);
      input.off("end", onEnd);
      input.setRawMode(false);
      input.pause();
      output.write("\n");
      resolve(answer);
    };
    const onEnd = (): void => done(undefined);
    const onData = (text: string): void => {
      for (const char of text) {
        if (enter.test(char)) return done(typed.join(""));
        if (char === interrupt || (char === endOfInput && typed.length === 0)) return done(undefined);
        if (rubOut.test(char)) typed.pop();
        else if (char === eraseLine) typed = [];
        else if (char >= " ") typed.push(char);
      }
    };
    input.on("data", onData);
    input.on("end", onEnd);
    input.resume();
  });
}
