/**
 * Addresses with the quotes that their local part needs (RFC 5322 section 3.4.1), and without.
 * Both forms are text "local@domain"; bare, the last @ is the one before the domain. What cannot be an
 * address is taken all the same. Postfix: quote_822_local, unquote_822_local.
 */

const special = '\\x00-\\x20\\x7f"(),:;<>@[\\\\\\]';
const dotString = new RegExp(`^[^${special}.]+(?:\\.[^${special}.]+)*$`);

/** A bare address in quoted form. Quoted strings that are there already would be quoted again. */
export function quoteAddress(bare: string): string {
  const start = behindRoute(bare);
  const at = bare.lastIndexOf("@");
  const end = at < start ? bare.length : at;
  const local = bare.slice(start, end);
  if (dotString.test(local)) return bare;
  return `${bare.slice(0, start)}${quotedString(local)}${bare.slice(end)}`;
}

/** A bare local part in quoted form. */
export function quoteLocalPart(bare: string): string {
  return dotString.test(bare) ? bare : quotedString(bare);
}

function quotedString(text: string): string {
  return `"${text.replace(/["\\\r]/g, "\\$&")}"`;
}

/** A quoted address in bare form. The domain keeps what it has. */
export function unquoteAddress(quoted: string): string {
  if (!quoted.includes('"') && !quoted.includes("\\")) return quoted;
  const start = behindRoute(quoted);
  let bare = quoted.slice(0, start);
  let inQuotes = false;
  let domainIn = -1;
  let domainOut = -1;
  for (let at = start; at < quoted.length; at++) {
    let char = quoted[at] as string;
    if (char === '"') {
      inQuotes = !inQuotes;
      continue;
    }
    if (char === "@" && !inQuotes) {
      domainIn = at;
      domainOut = bare.length;
    } else if (char === "\\") {
      if (at + 1 >= quoted.length) continue;
      char = quoted[++at] as string;
    }
    bare += char;
  }
  return domainIn < 0 ? bare : bare.slice(0, domainOut) + quoted.slice(domainIn);
}

/** Where the address begins behind a source route, "@one,@two:". */
function behindRoute(text: string): number {
  return text.startsWith("@") ? text.indexOf(":") + 1 : 0;
}
