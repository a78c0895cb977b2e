/** Tags by ARN, of every kind of resource that has any: for whoever manages resources by a tool. */
import { ContactLists } from '../contacts/contact-lists.ts';
import { IpInventory } from '../control/ip-inventory.ts';
import { PosternError } from '../errors.ts';
import { resourceOf } from './arn.ts';
import { findConfigurationSet } from './configuration-sets.ts';
import { findIdentity } from './identities.ts';
import { type Call, operation, requireAdmin } from './operation.ts';
import { checkedTags, type ResourceTag } from './tags.ts';
import { findTemplate } from './templates.ts';
import { tenantOfArn } from './tenants.ts';
import { templatesOf } from './verification-mails.ts';

/** How tags of one kind of resource are read and changed. Both throw when the resource does not exist. */
interface Taggable {
  read(name: string, call: Call): Promise<ResourceTag[]>;
  change(name: string, by: (tags: ResourceTag[]) => ResourceTag[], call: Call): Promise<unknown>;
}

const KINDS: Readonly<Record<string, Taggable>> = {
  identity: {
    read: async (name, call) => (await findIdentity(name, call)).tags ?? [],
    change: async (name, by, call) =>
      call.deps.control.identities.update((await findIdentity(name, call)).name, (identity) => ({
        ...identity,
        tags: by(identity.tags ?? []),
      })),
  },
  'configuration-set': {
    read: async (name, call) => (await findConfigurationSet(name, call)).tags ?? [],
    change: (name, by, { deps, caller }) =>
      deps.control.configurationSets.update(name, caller.tenant, (set) => ({
        ...set,
        tags: by(set.tags ?? []),
      })),
  },
  template: {
    read: async (name, call) => (await findTemplate(name, call)).tags ?? [],
    change: async (name, by, call) => {
      const template = await findTemplate(name, call);
      await call.deps.control.templates.update({ ...template, tags: by(template.tags ?? []) });
    },
  },
  'custom-verification-email-template': {
    read: async (name, call) => (await templatesOf(call).find(call.caller.tenant, name)).tags ?? [],
    change: async (name, by, call) => {
      const { tags = [] } = await templatesOf(call).find(call.caller.tenant, name);
      await templatesOf(call).update(call.caller.tenant, name, { tags: by(tags) });
    },
  },
  'dedicated-ip-pool': {
    read: async (name, call) => {
      requireAdmin(call);
      return inventory(call).tagsOf(name);
    },
    change: (name, by, call) => inventory(call).tagPool(name, by, call.caller.keyId),
  },
  'contact-list': {
    read: async (name, call) => (await lists(call).get(call.caller.tenant, name)).tags ?? [],
    change: async (name, by, call) => {
      const { tags = [] } = await lists(call).get(call.caller.tenant, name);
      await lists(call).update(call.caller.tenant, name, { tags: by(tags) });
    },
  },
  tenant: {
    read: async (reference, call) => (await tenantOfArn(reference, call)).tags ?? [],
    change: async (reference, by, call) => {
      const { name } = await tenantOfArn(reference, call);
      await call.deps.control.tenants.update(name, (tenant) => ({ ...tenant, tags: by(tenant.tags ?? []) }));
    },
  },
};

function lists({ deps }: Call): ContactLists {
  return new ContactLists(deps.engine.rows, deps.clock);
}

function inventory({ deps }: Call): IpInventory {
  return new IpInventory(deps.control.documents, deps.installed);
}

/** @throws PosternError `bad_request` for a kind that has no tags here, and what `resourceOf` throws. */
function taggable(arn: string, call: Call): { name: string; kind: Taggable } {
  const { kind, name } = resourceOf(arn, call);
  if (Object.hasOwn(KINDS, kind)) return { name, kind: KINDS[kind]! };
  throw new PosternError(
    'bad_request',
    `Resources of kind ${kind} have no tags here; these have: ${Object.keys(KINDS).join(', ')}.`,
  );
}

export const listTagsForResource = operation('ListTagsForResource', 'use', async ({ ResourceArn }, call) => {
  const { name, kind } = taggable(ResourceArn, call);
  return { Tags: await kind.read(name, call) };
});

export const tagResource = operation('TagResource', 'manage', async ({ ResourceArn, Tags }, call) => {
  const { name, kind } = taggable(ResourceArn, call);
  const given = new Map(checkedTags(Tags)!.map((tag) => [tag.Key, tag]));
  await kind.change(
    name,
    (tags) => checkedTags([...tags.filter(({ Key }) => !given.has(Key)), ...given.values()])!,
    call,
  );
  return {};
});

export const untagResource = operation('UntagResource', 'manage', async ({ ResourceArn, TagKeys }, call) => {
  const { name, kind } = taggable(ResourceArn, call);
  const gone = new Set(TagKeys);
  await kind.change(name, (tags) => tags.filter(({ Key }) => !gone.has(Key)), call);
  return {};
});
