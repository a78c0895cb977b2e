/** Every page of the console. */
import type { ConsolePage } from './page.ts';
import { configurationPage, documentPage } from './pages/configuration.ts';
import { newDirectivePage } from './pages/directive-order.ts';
import { directivesPage } from './pages/directives.ts';
import { domainPage, domainsPage } from './pages/domains.ts';
import { eventsPage } from './pages/events.ts';
import { healthPage } from './pages/health.ts';
import { ipPage, ipsPage } from './pages/ips.ts';
import { keysPage } from './pages/keys.ts';
import { limitsPage } from './pages/limits.ts';
import { messagePage } from './pages/message.ts';
import { messagesPage } from './pages/messages.ts';
import { overviewPage } from './pages/overview.ts';
import { queuesPage } from './pages/queues.ts';
import { suppressionPage } from './pages/suppression.ts';
import { suppressionExport } from './pages/suppression-export.ts';
import { templatePage, templatePreviewPage, templatesPage } from './pages/templates.ts';
import { tenantPage, tenantsPage } from './pages/tenants.ts';
import { webhookPage, webhooksPage } from './pages/webhooks.ts';

export const PAGES: readonly ConsolePage[] = [
  overviewPage,
  messagesPage,
  messagePage,
  eventsPage,
  queuesPage,
  domainsPage,
  domainPage,
  templatesPage,
  templatePreviewPage,
  templatePage,
  suppressionExport,
  suppressionPage,
  newDirectivePage,
  directivesPage,
  ipsPage,
  ipPage,
  limitsPage,
  configurationPage,
  documentPage,
  webhooksPage,
  webhookPage,
  keysPage,
  healthPage,
  tenantsPage,
  tenantPage,
];
