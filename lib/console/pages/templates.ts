/** Stored templates, and a look at what they make. */
import { html } from 'hono/html';
import type { ApiTemplate } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import { area, button, field, form, link, pager, pathTo, problem, sure, table, when } from '../parts.ts';
import { PREVIEW_HEADERS } from '../security.ts';
import { ApiFailure, labelText, type Query } from '../v1.ts';

function ofTenant({ query }: PageCall): Query {
  return { tenant: query.get('tenant') ?? undefined };
}

export const templatesPage: ConsolePage = {
  path: '/templates',
  nav: '/templates',
  async show(call) {
    const { v1, me, query, now } = call;
    const tenant = ofTenant(call);
    const { templates, next } = await v1.get<{
      templates: { name: string; createdAt: string }[];
      next?: string;
    }>('/templates', {
      ...tenant,
      after: query.get('after') ?? undefined,
    });
    const rows = templates.map(
      ({ name, createdAt }) =>
        html`<tr><th scope="row">${link(`/templates/${labelText(name)}`, name, tenant)}</th><td class="tight">${when(createdAt, now)}</td></tr>`,
    );
    const body = html`<h1>Templates</h1>
${me.admin ? html`<form method="get" action="${pathTo('/templates')}" class="inline">${field({ label: 'Of the tenant', name: 'tenant', value: query.get('tenant') ?? me.tenant })}<button class="second" type="submit">Show</button></form>` : ''}
${table('Templates', ['Name', 'Made'], rows)}${pager(call, '/templates', next)}
${me.admin ? html`<h2>New template</h2>${problem(call.problem)}${form(call, 'create', html`${field({ label: 'Name', name: 'name', value: call.form.text('name'), required: true })}${sources(call, {})}${button('Make it')}`)}` : ''}`;
    return { title: 'Templates', body };
  },
  acts: {
    async create(call) {
      const name = call.form.text('name') ?? '';
      await save(call, name);
      return {
        to: pathTo(`/templates/${labelText(name)}`, ofTenant(call)).slice('/console'.length),
        notice: `${name} is made.`,
      };
    },
  },
};

function sources({ form: given }: PageCall, template: Partial<ApiTemplate>): Markup {
  const value = (name: 'subject' | 'text' | 'html'): string => given.whole(name) ?? template[name] ?? '';
  return html`${field({ label: 'Subject', name: 'subject', value: value('subject'), hint: 'Handlebars, as SES has it: {{name}}' })}
${area('Text', 'text', value('text'), 8)}${area('HTML', 'html', value('html'), 12)}`;
}

function save({ v1, form: given, query }: PageCall, name: string): Promise<ApiTemplate> {
  const body = { subject: given.text('subject'), text: given.whole('text'), html: given.whole('html') };
  return v1.send('PUT', `/templates/${labelText(name)}`, body, {
    query: { tenant: query.get('tenant') ?? undefined },
  });
}

interface ApiRendered {
  subject?: string;
  text?: string;
  html?: string;
}

export const templatePage: ConsolePage = {
  path: '/templates/:name',
  nav: '/templates',
  async show(call) {
    const { v1, me, params } = call;
    const [name, tenant] = [params.name!, ofTenant(call)];
    const template = await v1.get<ApiTemplate>(`/templates/${labelText(name)}`, tenant);
    const data = call.form.whole('data') ?? call.query.get('data') ?? '{}';
    const preview = await rendered(call, data);
    const body = html`<p class="quiet">${link('/templates', 'Templates', tenant)}</p><h1 class="text">${name}</h1>${problem(call.problem)}
<h2>Preview</h2><form method="get" action="${pathTo(`/templates/${labelText(name)}`)}">${tenant.tenant ? html`<input type="hidden" name="tenant" value="${tenant.tenant}">` : ''}
${area('Values', 'data', data, 4, 'JSON')}<button type="submit" class="second">Render</button></form>
${preview instanceof ApiFailure ? problem(preview) : look(name, preview, { ...tenant, data })}
${me.admin ? html`<h2>Source</h2>${form(call, 'save', html`${sources(call, template)}${button('Save')}`)}${sure(call, 'delete', 'Delete this template', 'Calls that name it are refused from then on.')}` : html`<h2>Source</h2>${sourceView(template)}`}`;
    return { title: name, body };
  },
  acts: {
    async save(call) {
      await save(call, call.params.name!);
      return {
        to: call.here.slice('/console'.length),
        notice: 'Saved: what is accepted from now on is made of it.',
      };
    },
    async delete(call) {
      await call.v1.send('DELETE', `/templates/${labelText(call.params.name!)}`, undefined, {
        query: ofTenant(call),
      });
      return { to: '/templates', notice: `${call.params.name} is deleted.` };
    },
  },
};

/** The HTML of a preview alone, in a frame without rights. */
export const templatePreviewPage: ConsolePage = {
  path: '/templates/:name/preview',
  nav: '/templates',
  async show(call) {
    const preview = await rendered(call, call.query.get('data') ?? '{}');
    if (preview instanceof ApiFailure) throw preview;
    return new Response(preview.html ?? '', { headers: PREVIEW_HEADERS });
  },
};

async function rendered(call: PageCall, text: string): Promise<ApiRendered | ApiFailure> {
  try {
    let data: unknown;
    try {
      data = JSON.parse(text);
    } catch (cause) {
      throw new ApiFailure(
        400,
        'bad_request',
        `The values are not JSON: ${(cause as Error).message}.`,
        'Write them as {"name": "Ann"}.',
      );
    }
    return await call.v1.send<ApiRendered>(
      'POST',
      `/templates/${labelText(call.params.name!)}/render`,
      { data },
      { query: ofTenant(call) },
    );
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 400) return error;
    throw error;
  }
}

function look(name: string, { subject, text, html: markup }: ApiRendered, query: Query): Markup {
  return html`<article class="card">${subject === undefined ? '' : html`<header><h3 class="text">${subject}</h3></header>`}
${markup === undefined ? '' : html`<iframe class="preview" sandbox title="HTML of the template" src="${pathTo(`/templates/${labelText(name)}/preview`, query)}"></iframe>`}
${text === undefined ? '' : html`<pre class="code">${text}</pre>`}</article>`;
}

function sourceView({ subject = '', text, html: markup }: ApiTemplate): Markup {
  return html`<pre class="code">${subject}</pre>${text === undefined ? '' : html`<pre class="code">${text}</pre>`}${markup === undefined ? '' : html`<pre class="code">${markup}</pre>`}`;
}
