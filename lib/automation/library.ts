/** The rules that come with Postern, and their merging with an operator's own. */
import { readList, readObject, refuse } from '../document.ts';
import { checkRules } from './check.ts';
import type { Rule } from './rule.ts';
import { apple } from './rules/apple.ts';
import { daum, docomo, kddi, naver, netvigator, softbank, telstra } from './rules/asia-pacific.ts';
import { att, cox, spectrum } from './rules/cable-us.ts';
import { netease, qq } from './rules/china.ts';
import { comcast } from './rules/comcast.ts';
import { interia, kpn, libero, onet, seznam, telenet, tiscali, wp, ziggo } from './rules/europe.ts';
import {
  barracuda,
  cloudmark,
  ironport,
  messagelabs,
  mimecast,
  proofpoint,
  trendmicro,
} from './rules/filters.ts';
import { free, laposte, orange, sfr } from './rules/france.ts';
import { generic } from './rules/generic.ts';
import { genericBlocks } from './rules/generic-blocks.ts';
import { gmx, tOnline } from './rules/germany.ts';
import { google } from './rules/google.ts';
import { fastmail, godaddy, proton, rackspace, zoho } from './rules/hosters.ts';
import { microsoft } from './rules/microsoft.ts';
import { mailRu, yandex } from './rules/russia.ts';
import { yahoo } from './rules/yahoo.ts';
import { yahooJapan } from './rules/yahoo-japan.ts';

export const LIBRARY: readonly Rule[] = [
  google,
  microsoft,
  yahoo,
  yahooJapan,
  apple,
  comcast,
  cox,
  spectrum,
  att,
  orange,
  laposte,
  free,
  sfr,
  gmx,
  tOnline,
  kpn,
  ziggo,
  telenet,
  libero,
  tiscali,
  wp,
  onet,
  interia,
  seznam,
  qq,
  netease,
  mailRu,
  yandex,
  docomo,
  kddi,
  softbank,
  naver,
  daum,
  netvigator,
  telstra,
  mimecast,
  proofpoint,
  barracuda,
  ironport,
  messagelabs,
  trendmicro,
  cloudmark,
  rackspace,
  godaddy,
  zoho,
  fastmail,
  proton,
  generic,
  genericBlocks,
].flat();

/**
 * Merges an operator's document over the library: a rule with the id of a library rule replaces it, other rules are
 * added, and rules named in `off` are left out.
 * @param document a `RuleDocument`, not validated.
 * @param file source of the document, for messages.
 * @throws PosternError `bad_request`: `file: rules[3].match.code: what is wrong`; nothing is changed then.
 */
export function rulesWith(document: unknown, file: string): Rule[] {
  const { rules = [], off = [] } = readObject(document, file, ['rules', 'off']);
  const own = checkRules(rules, `${file}: rules`);
  const replaced = new Set(own.map(({ id }) => id));
  const known = [...LIBRARY.map(({ id }) => id), ...replaced];
  const left = new Set(
    readList(off, `${file}: off`, (id, path) => {
      return known.includes(id as string) ? id : refuse(path, `no rule is called ${JSON.stringify(id)}.`);
    }),
  );
  return [...LIBRARY.filter(({ id }) => !replaced.has(id)), ...own].filter(({ id }) => !left.has(id));
}
