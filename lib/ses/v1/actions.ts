/** Every action that has a meaning here, by its name: what the files of the resources export. */
import * as account from './account.ts';
import { Action } from './action.ts';
import * as sets from './configuration-sets.ts';
import * as identities from './identities.ts';
import * as notifications from './notifications.ts';
import * as sending from './sending.ts';
import * as templates from './templates.ts';
import * as verification from './verification.ts';
import * as verificationMails from './verification-mails.ts';

const RESOURCES: readonly object[] = [
  sending,
  identities,
  verification,
  verificationMails,
  sets,
  templates,
  account,
  notifications,
];

export const ACTIONS: ReadonlyMap<string, Action> = new Map(
  RESOURCES.flatMap((resource) => Object.values(resource))
    .filter((one) => one instanceof Action)
    .map((one) => [one.name, one]),
);
