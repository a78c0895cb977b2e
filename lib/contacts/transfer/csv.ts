/**
 * Comma-separated values (RFC 4180) of one line. A record does not go on in the next line: a quote that is never closed
 * must not take the rest of a file with it, which is why this is not a parser of whole files.
 */

/**
 * The fields of a line. Blanks around a field are dropped, as many exports write them. A quote inside a field that does
 * not begin with one is a character like any other: SES's own example holds JSON without quotes around it.
 * @returns undefined when a quote is not closed, or text follows a closing one.
 */
export function fieldsOf(line: string): string[] | undefined {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    while (line[at] === ' ' || line[at] === '\t') at += 1;
    if (line[at] === '"') {
      let text = '';
      for (let from = at + 1; ; ) {
        const close = line.indexOf('"', from);
        if (close < 0) return undefined;
        text += line.slice(from, close);
        at = close + 1;
        if (line[at] !== '"') break;
        text += '"';
        from = at + 1;
      }
      while (line[at] === ' ' || line[at] === '\t') at += 1;
      if (at < line.length && line[at] !== ',') return undefined;
      fields.push(text);
    } else {
      const comma = line.indexOf(',', at);
      const end = comma < 0 ? line.length : comma;
      fields.push(line.slice(at, end).trim());
      at = end;
    }
    if (at >= line.length) return fields;
    at += 1;
  }
}

/** A line with its CRLF. */
export function csvLine(fields: readonly (string | undefined)[]): string {
  return `${fields.map((field = '') => quoted(field)).join(',')}\r\n`;
}

/** Text of strangers that no spreadsheet takes for a formula (CWE-1236). */
export function inert(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function quoted(field: string): string {
  return /[",\r\n]|^\s|\s$/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
