/** Commands as they can be pasted into a POSIX shell: for remedies. They are Postfix's, so they work before and after a change to Postern. */
export interface Shell {
  /** `postconf -e 'name = value' …`; a value of undefined takes the parameter out of main.cf. */
  set(parameters: Readonly<Record<string, string | undefined>>): readonly string[];
  /** `postmap type:name` */
  postmap(reference: string): string;
}

/** `directory`: where main.cf is; left out of commands where it is the usual place. */
export function shellFor(directory: string): Shell {
  const where = directory === "/etc/postfix" ? "" : ` -c ${quoted(directory)}`;
  return {
    set(parameters) {
      const entries = Object.entries(parameters);
      const written = entries.filter(([, value]) => value !== undefined);
      const removed = entries.filter(([, value]) => value === undefined);
      const edit = written.map(([name, value]) => quoted(value === "" ? `${name} =` : `${name} = ${value}`)).join(" ");
      return [
        ...(written.length > 0 ? [`postconf${where} -e ${edit}`] : []),
        ...(removed.length > 0 ? [`postconf${where} -X ${removed.map(([name]) => quoted(name)).join(" ")}`] : []),
      ];
    },
    postmap: (reference) => `postmap${where} ${quoted(reference)}`,
  };
}

/** One word for the shell, in single quotes where it needs them. */
export function quoted(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
