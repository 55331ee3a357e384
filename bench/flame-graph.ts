/**
 * node bench/flame-graph.ts PROFILE.cpuprofile > FILE.svg
 *
 * A flame graph of what V8 has sampled (--cpu-prof): one box for each function and way to it, as wide as the share of the
 * samples in which it was at work, callees above their callers. Idle time is left out, and boxes too narrow to be seen.
 */
import { readFileSync } from "node:fs";

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Box {
  readonly name: string;
  readonly kind: Kind;
  time_us: number;
  readonly above: Map<string, Box>;
}

type Kind = "ours" | "node" | "packages" | "native";

const width = 1200;
const rowHeight = 17;
/** Narrower boxes are left out. */
const least_px = 0.6;
const colours: Readonly<Record<Kind, string>> = {
  ours: "#f2a65a",
  node: "#8fb8de",
  packages: "#a9c99a",
  native: "#c9b6d9",
};

/** Equal ways are one box, whatever their places in the sources. */
function boxes({ nodes, samples, timeDeltas }: Profile): Box {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const caller = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const root: Box = { name: "all", kind: "native", time_us: 0, above: new Map() };
  for (const [index, sample] of samples.entries()) {
    const way: ProfileNode[] = [];
    for (let id: number | undefined = sample; id !== undefined; id = caller.get(id)) {
      const node = byId.get(id);
      if (node) way.unshift(node);
    }
    if (way.at(-1)?.callFrame.functionName === "(idle)") continue;
    const time_us = timeDeltas[index] ?? 0;
    root.time_us += time_us;
    let at = root;
    for (const { callFrame } of way.slice(1)) {
      const name = callFrame.functionName || "(anonymous)";
      const box: Box = at.above.get(name) ?? { name, kind: kindOf(callFrame.url), time_us: 0, above: new Map() };
      at.above.set(name, box);
      box.time_us += time_us;
      at = box;
    }
  }
  return root;
}

function kindOf(url: string): Kind {
  if (url === "") return "native";
  if (url.startsWith("node:")) return "node";
  return url.includes("node_modules") ? "packages" : "ours";
}

function svg(root: Box): string {
  const rows: string[] = [];
  let depth = 0;
  const draw = (box: Box, x: number, level: number): void => {
    const box_px = (box.time_us / root.time_us) * width;
    if (box_px < least_px) return;
    depth = Math.max(depth, level);
    const share = ((box.time_us / root.time_us) * 100).toFixed(1);
    const fits = Math.floor((box_px - 4) / 6.2);
    const label = fits < 3 ? "" : box.name.length > fits ? `${box.name.slice(0, fits - 1)}…` : box.name;
    const y = -(level + 1) * rowHeight;
    rows.push(
      `<g><title>${escaped(box.name)} ${share} %</title><rect x="${x.toFixed(1)}" y="${y}" width="${(box_px - 0.3).toFixed(1)}" height="${rowHeight - 1}" fill="${colours[box.kind]}"/>${label && `<text x="${(x + 2).toFixed(1)}" y="${y + 12}">${escaped(label)}</text>`}</g>`,
    );
    let left = x;
    for (const each of [...box.above.values()].toSorted((one, other) => other.time_us - one.time_us)) {
      draw(each, left, level + 1);
      left += (each.time_us / root.time_us) * width;
    }
  };
  draw(root, 0, 0);
  const height = (depth + 1) * rowHeight;
  const legend = Object.entries(colours).map(
    ([kind, colour], index) =>
      `<rect x="${index * 110}" y="6" width="12" height="12" fill="${colour}"/><text x="${index * 110 + 17}" y="16">${kind}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 ${-height} ${width} ${height + 24}" font-family="monospace" font-size="10">
${rows.join("\n")}
${legend.join("\n")}
</svg>
`;
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("flame-graph.ts PROFILE.cpuprofile > FILE.svg");
process.stdout.write(svg(boxes(JSON.parse(readFileSync(path, "utf8")) as Profile)));
