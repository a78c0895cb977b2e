/** Types of the template room. */

/** The sources of a template, or the texts of a rendering. */
export interface TemplateParts {
  subject?: string;
  text?: string;
  html?: string;
}

/**
 * The remaining budget of one call, shared by its renderings; each rendering lowers it. Without a bound for the call,
 * a request of 2 KB with a thousand recipients renders gigabytes.
 */
export interface RenderBudget {
  /** Characters of output. */
  characters: number;
  /** Instructions and iterations. */
  steps: number;
}
