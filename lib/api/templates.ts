/** Stored templates: kept by administrators, used by every key of their tenant, rendered for a look. */
import * as z from 'zod/mini';
import type { StoredTemplate } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { compileTemplate, renderTemplate } from '../template/template.ts';
import { type ApiCall, iso, label, operation, query, requireAdmin } from './operation.ts';
import { sizeOf, tenantOf } from './query.ts';
import { about, anyObject, name, named, text, time } from './schema.ts';

const PAGE = 100;
const MAX_PAGE = 1000;

const parts = {
  subject: z.optional(text('Handlebars, as SES has it; `{{name}}` is a value.')),
  text: z.optional(text()),
  html: z.optional(text()),
};
const TemplateRequest = named('TemplateRequest', z.strictObject(parts));
const Template = named(
  'Template',
  z.strictObject({ name: text(), tenant: text(), createdAt: time('When it was made.'), ...parts }),
);
const Templates = named(
  'Templates',
  z.strictObject({
    templates: z
      .array(z.strictObject({ name: text(), createdAt: time('When it was made.') }))
      .check(about('In the order of names.')),
    next: z.optional(text('`after` of the next page; absent on the last one.')),
  }),
);
const TemplateData = named(
  'TemplateData',
  z.strictObject({ data: z.optional(anyObject('Values of the template, by name.')) }),
);
const Rendered = named(
  'RenderedTemplate',
  z.strictObject({ subject: z.optional(text()), text: z.optional(text()), html: z.optional(text()) }),
);

const templateName = label('name', 'Name of the template.');
const ofTenant = query(
  'tenant',
  "Whose template; absent: the key's tenant. Another one's needs an administrator's key.",
);
const content = { subject: 'Your order {{number}}', text: 'Dear {{name}}, it is on its way.' };
const example = { name: 'order', tenant: 'default', createdAt: '2026-01-01T00:00:00.000Z', ...content };

const listTemplates = operation({
  method: 'get',
  path: '/templates',
  operationId: 'listTemplates',
  summary: 'The stored templates of a tenant',
  parameters: [
    ofTenant,
    query('max', `Maximum templates returned: 1 to ${MAX_PAGE}, else ${PAGE}.`),
    query('after', '`next` of the page before.'),
  ],
  answer: {
    status: 200,
    description: 'A page of templates, without their content.',
    schema: Templates,
    example: { templates: [{ name: 'order', createdAt: example.createdAt }] },
  },
  async handle(call) {
    const max = sizeOf(call.query.max, PAGE, MAX_PAGE);
    const page = { after: call.query.after, max: max + 1 };
    const found = await call.deps.control.templates.list(ownerOf(call), page);
    const listed = found.slice(0, max);
    return {
      body: {
        templates: listed.map(({ name: one, createdAt }) => ({ name: one, createdAt: iso(createdAt) })),
        next: found.length > max ? listed.at(-1)!.name : undefined,
      },
    };
  },
});

const getTemplate = operation({
  method: 'get',
  path: '/templates/{name}',
  operationId: 'getTemplate',
  summary: 'A stored template',
  parameters: [templateName, ofTenant],
  answer: { status: 200, description: 'Its source.', schema: Template, example },
  handle: async (call) => ({ body: shown(await find(call)) }),
});

const putTemplate = operation({
  method: 'put',
  path: '/templates/{name}',
  operationId: 'putTemplate',
  summary: "Make a template, or replace its content (administrator's key)",
  description: 'Compiled first: a template that cannot be rendered is refused, and what was there stays.',
  parameters: [templateName, ofTenant],
  request: { schema: TemplateRequest, required: true, examples: { order: content } },
  answer: { status: 200, description: 'As it is now.', schema: Template, example },
  async handle(call) {
    requireAdmin(call, 'change templates');
    const { subject, text: plain, html } = call.body;
    if (subject === undefined && plain === undefined && html === undefined)
      throw new PosternError('bad_request', 'A template has a /subject, a /text or an /html.');
    const given = { subject, text: plain, html };
    compileTemplate(given);
    const { templates } = call.deps.control;
    const [of, tenant] = [nameOf(call), ownerOf(call)];
    const before = await templates.find(of, tenant);
    if (before) await templates.update({ ...before, ...given });
    else await templates.create({ name: of, tenant, ...given, createdAt: call.deps.clock.now() });
    return { body: shown(await find(call)) };
  },
});

const deleteTemplate = operation({
  method: 'delete',
  path: '/templates/{name}',
  operationId: 'deleteTemplate',
  summary: "Delete a template (administrator's key)",
  parameters: [templateName, ofTenant],
  answer: { status: 204, description: 'It is gone; calls that name it are refused.' },
  async handle(call) {
    requireAdmin(call, 'delete templates');
    const { name: of, tenant } = await find(call);
    await call.deps.control.templates.delete(of, tenant);
    return {};
  },
});

const renderStored = operation({
  method: 'post',
  path: '/templates/{name}/render',
  operationId: 'renderTemplate',
  summary: 'Render a template with values, and send nothing',
  parameters: [templateName, ofTenant],
  request: {
    schema: TemplateData,
    required: false,
    examples: { order: { data: { number: '4711', name: 'Ann' } } },
  },
  answer: {
    status: 200,
    description: 'What a message would have.',
    schema: Rendered,
    example: { subject: 'Your order 4711', text: 'Dear Ann, it is on its way.' },
  },
  async handle(call) {
    const { subject, text: plain, html } = await find(call);
    const compiled = compileTemplate({ subject, text: plain, html });
    return { body: { ...renderTemplate(compiled, call.body.data ?? {}) } };
  },
});

export const TEMPLATES = [listTemplates, getTemplate, putTemplate, deleteTemplate, renderStored];

/** @throws `bad_request`, `access_denied` */
function ownerOf(call: ApiCall): string {
  return tenantOf(call, 'templates') ?? call.caller.tenant;
}

/** @throws `bad_request` for a name that no template can have. */
function nameOf({ params }: ApiCall): string {
  const given = params.name!;
  if (z.safeParse(name(''), given).success) return given;
  throw new PosternError(
    'bad_request',
    'name: a template is named by 1 to 64 letters, digits, hyphens and underscores.',
  );
}

/** @throws `not_found` */
async function find(call: ApiCall): Promise<StoredTemplate> {
  const stored = await call.deps.control.templates.find(call.params.name!, ownerOf(call));
  if (stored) return stored;
  throw new PosternError(
    'not_found',
    `There is no template ${JSON.stringify(call.params.name!.slice(0, 64))}.`,
  );
}

function shown({ name: of, tenant, createdAt, subject, text: plain, html }: StoredTemplate) {
  return { name: of, tenant, createdAt: iso(createdAt), subject, text: plain, html };
}
