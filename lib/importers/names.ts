/** A name of a pool or a set from any text. */
export function poolName(text: string): string {
  return (
    text
      .replace(/[^a-zA-Z0-9_-]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 64) || 'imported'
  );
}
