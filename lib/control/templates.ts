/** Stored templates: their names are unique within a tenant. */
import { PosternError } from '../errors.ts';
import type { DocumentCache } from './document-cache.ts';
import { checkName, shorten, tenantKey } from './names.ts';
import { countOf, Quota } from './quotas.ts';
import type { Control, StoredTemplate } from './types.ts';

/** SES: "up to 500 KB in size, including both the text and HTML parts". */
const MAX_TEMPLATE_BYTES = 500 * 1024;

export function openTemplates(mirror: DocumentCache<StoredTemplate>, limit: number): Control['templates'] {
  const quota = new Quota('templates', limit);

  return {
    find: (name, tenant) => mirror.get(tenantKey(tenant, name)),

    list: (tenant) => mirror.all().filter((template) => tenant === undefined || template.tenant === tenant),

    async create(template) {
      checkName('tenant', template.tenant);
      checkName('template', template.name);
      checkSize(template);
      await quota.within(template.tenant, countOf(mirror.all(), template.tenant), () =>
        mirror.create(tenantKey(template.tenant, template.name), template, `Template ${template.name}`),
      );
    },

    async update(template) {
      checkSize(template);
      const stored = await mirror.update(tenantKey(template.tenant, template.name), ({ createdAt }) => ({
        ...template,
        createdAt,
      }));
      if (!stored) {
        throw new PosternError('template_missing', `Template ${shorten(template.name)} does not exist.`);
      }
    },

    delete: (name, tenant) => mirror.delete(tenantKey(tenant, name)),
  };
}

function checkSize({ subject = '', text = '', html = '' }: StoredTemplate): void {
  const size = Buffer.byteLength(subject) + Buffer.byteLength(text) + Buffer.byteLength(html);
  if (size <= MAX_TEMPLATE_BYTES) return;
  throw new PosternError('bad_request', `The template has ${size} bytes; ${MAX_TEMPLATE_BYTES} is the most.`);
}
