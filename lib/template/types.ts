/** Types of the template room. */

/** The sources of a template, or what a rendering made of them. */
export interface TemplateParts {
  subject?: string;
  text?: string;
  html?: string;
}

/**
 * What the renderings of one call may still spend, all of them together; each rendering lowers it. Without a bound for
 * the call, a request of 2 KB with a thousand recipients renders gigabytes.
 */
export interface RenderBudget {
  /** Characters of output. */
  characters: number;
  /** Instructions and iterations. */
  steps: number;
}
