/** What the doctor found: what is wrong, why it matters, and the exact record or command. */
import { html } from 'hono/html';
import type { ApiFinding } from '../answers.ts';
import type { Markup } from '../page.ts';
import { badge, copy, type Tone } from '../parts.ts';

const TONES: Readonly<Record<ApiFinding['severity'], Tone>> = {
  error: 'bad',
  warning: 'warn',
  notice: 'calm',
};

export function findings(found: readonly ApiFinding[]): Markup {
  if (found.length === 0) return html`<p class="note good">Nothing is wrong.</p>`;
  return html`<ul class="troubles">${found.map(
    ({
      id,
      severity,
      subject,
      text,
      why,
      remedy,
      record,
      command,
    }) => html`<li class="card"><header>${badge(severity, TONES[severity])}<h3 class="text">${text}</h3></header>
<p class="text quiet">${subject} · ${id}</p><p>${why}</p><p class="text">${remedy}</p>${
      record
        ? html`<p class="record"><code>${record.name}</code> ${record.type} <code>${record.value}</code>${copy(record.value)}</p>`
        : ''
    }${command === undefined ? '' : html`<p class="record"><code>${command}</code>${copy(command)}</p>`}</li>`,
  )}</ul>`;
}
