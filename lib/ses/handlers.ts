/** Every operation that has a meaning here, by its name: what the files of the resources export. */
import * as account from './account.ts';
import * as addressInsights from './address-insights.ts';
import * as sets from './configuration-sets.ts';
import * as contactLists from './contact-lists.ts';
import * as contacts from './contacts.ts';
import * as dedicated from './dedicated-ips.ts';
import * as eventDestinations from './event-destinations.ts';
import * as exportJobs from './export-jobs.ts';
import * as identities from './identities.ts';
import * as policies from './identity-policies.ts';
import * as importJobs from './import-jobs.ts';
import * as insights from './insights.ts';
import { Operation } from './operation.ts';
import * as recommendations from './recommendations.ts';
import * as reputation from './reputation.ts';
import * as tags from './resource-tags.ts';
import * as bulk from './send-bulk-email.ts';
import * as send from './send-email.ts';
import * as suppression from './suppression.ts';
import * as templates from './templates.ts';
import * as tenantResources from './tenant-resources.ts';
import * as tenants from './tenants.ts';
import * as verification from './verification-mails.ts';

const RESOURCES: readonly object[] = [
  send,
  bulk,
  identities,
  policies,
  templates,
  verification,
  sets,
  eventDestinations,
  dedicated,
  account,
  suppression,
  contactLists,
  contacts,
  insights,
  recommendations,
  addressInsights,
  importJobs,
  exportJobs,
  tags,
  tenants,
  tenantResources,
  reputation,
];

export const HANDLERS: ReadonlyMap<string, Operation> = new Map(
  RESOURCES.flatMap((resource) => Object.values(resource))
    .filter((one) => one instanceof Operation)
    .map((one) => [one.name, one]),
);
