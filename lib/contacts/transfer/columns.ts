/** The columns of a file of addresses: by its header where it has one, else as SES defines them. */

/** A row by the name of its columns, in lower case. */
export type Columns = Readonly<Record<string, string>>;

/** Names under which the field's systems write the address of a recipient. */
const ADDRESS_NAMES: ReadonlySet<string> = new Set([
  'emailaddress',
  'email_address',
  'email',
  'e-mail',
  'address',
  // PowerMTA's accounting files.
  'rcpt',
  'recipient',
]);

/** Whether the first line of a file names its columns. */
export function isHeader(fields: readonly string[]): boolean {
  return (
    fields.some((field) => ADDRESS_NAMES.has(field.toLowerCase())) &&
    !fields.some((field) => field.includes('@'))
  );
}

/** A row by its column names; columns beyond the names are left out. */
export function columnsOf(names: readonly string[], fields: readonly string[]): Columns {
  const columns: [string, string][] = [];
  for (const [at, name] of names.entries()) {
    const key = name.toLowerCase();
    columns.push([ADDRESS_NAMES.has(key) ? 'address' : key, fields[at] ?? '']);
  }
  return Object.fromEntries(columns);
}
