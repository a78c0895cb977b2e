/// <reference types="handlebars" />

/** The parser of Handlebars alone: its compiler, and what that brings along, are not used here. */
declare module 'handlebars/dist/cjs/handlebars/compiler/base.js' {
  /** @throws Error that names the line of what cannot be parsed. */
  export function parse(source: string): hbs.AST.Program;
}
