/// <reference types="handlebars" />

/** The parser of Handlebars alone: its compiler and the modules that come with it are not used here. */
declare module 'handlebars/dist/cjs/handlebars/compiler/base.js' {
  /** @throws Error that names the line of what cannot be parsed. */
  export function parse(source: string): hbs.AST.Program;
}
