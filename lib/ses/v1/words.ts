/** The words of enumerations: `SCREAMING_CASE` in SES v2, `CamelCase` or `camelCase` in SES v1. */

/** `UseDefaultValue` of v1 to `USE_DEFAULT_VALUE` of v2. */
export function toV2<T extends string>(word: string): T {
  return word.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toUpperCase() as T;
}

/** `USE_DEFAULT_VALUE` of v2 to `UseDefaultValue` of v1. */
export function toV1<T extends string>(word: string): T {
  return word.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase()) as T;
}

/** `RENDERING_FAILURE` of v2 to `renderingFailure` of v1. */
export function toCamel<T extends string>(word: string): T {
  const pascal = toV1<T>(word);
  return (pascal.charAt(0).toLowerCase() + pascal.slice(1)) as T;
}
