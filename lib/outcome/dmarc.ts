/**
 * Reads DMARC aggregate reports (RFC 9990, and RFC 7489 appendix C before it): how receivers judged mail that names a
 * domain of ours. They are parsed as a stream of tags: only the rows are built, entities are not expanded, and
 * counts, depth and lengths are bounded, because any stranger may send a report.
 */
import { StringDecoder } from 'node:string_decoder';
import { setImmediate } from 'node:timers/promises';
import { Parser } from 'htmlparser2';
import { PosternError } from '../errors.ts';
import { expand } from './expand.ts';

export type DmarcDisposition = 'none' | 'quarantine' | 'reject';

/** A receiver's judgement of the mail of one address over the time of the report. */
export interface DmarcRow {
  sourceIp: string;
  count: number;
  disposition: DmarcDisposition;
  /** Whether DKIM, or SPF, passed and was aligned. */
  dkim: boolean;
  spf: boolean;
  headerFrom: string;
  envelopeFrom?: string;
  /** Domains and selectors of DKIM signatures, with their result. */
  signatures: { domain: string; selector?: string; result: string }[];
  /** Domain of SPF, with its result. */
  spfDomain?: { domain: string; result: string };
}

export interface DmarcReport {
  /** Organisation that wrote the report, and its own id of it. */
  organisation: string;
  reportId: string;
  /** Start of the report's time, since the epoch, ms. */
  begin: number;
  end: number;
  /** Domain whose policy was applied. */
  domain: string;
  policy: DmarcDisposition;
  rows: DmarcRow[];
}

const MAX_ROWS = 10_000;
const MAX_DEPTH = 16;
const MAX_TEXT = 1_024;
const MAX_SIGNATURES = 20;
const MAX_TAG = 131_072;

/**
 * Reads a report.
 * @param bytes the attachment: XML, or XML in gzip or zip.
 * @throws PosternError `bad_request` that states what is wrong with it.
 */
export async function readDmarcReport(bytes: Buffer): Promise<DmarcReport> {
  const reader = new Reader();
  const parser = new Parser(reader, { xmlMode: true, decodeEntities: false });
  const decoder = new StringDecoder('utf8');
  let quiet = 0;
  for await (const piece of expand(bytes)) {
    const { seen } = reader;
    parser.write(decoder.write(piece));
    if (reader.refusal) throw refused(reader.refusal);
    // The parser holds a tag until it ends.
    quiet = reader.seen === seen ? quiet + piece.length : 0;
    if (quiet > MAX_TAG) throw refused(`a tag has more than ${MAX_TAG} octets`);
    // The largest report takes a second: other work runs in between.
    await setImmediate();
  }
  parser.end();
  if (reader.refusal) throw refused(reader.refusal);
  return reader.report();
}

type RecordRow = Partial<DmarcRow> & { signatures: DmarcRow['signatures'] };

class Reader {
  refusal: string | undefined;
  /** Tags and texts so far. */
  seen = 0;
  /** The open tags, each as the path to it. */
  readonly #path: string[] = [];
  readonly #fields = new Map<string, string>();
  readonly #rows: DmarcRow[] = [];
  #row: RecordRow | undefined;
  #signature: { domain?: string; selector?: string; result?: string } | undefined;
  #spf: { domain?: string; result?: string } | undefined;
  #text = '';

  onopentag(tag: string): void {
    this.seen += 1;
    if (this.refusal || this.#path.length >= MAX_DEPTH) {
      this.#refuse(`tags are nested more than ${MAX_DEPTH} deep`);
      return;
    }
    const name = tag.slice(tag.indexOf(':') + 1);
    const above = this.#path.at(-1);
    const path = above === undefined ? name : `${above}/${name}`;
    this.#path.push(path);
    this.#text = '';
    if (path === 'feedback/record') this.#row = { signatures: [] };
    else if (path === 'feedback/record/auth_results/dkim') this.#signature = {};
    else if (path === 'feedback/record/auth_results/spf') this.#spf = {};
  }

  ontext(text: string): void {
    this.seen += 1;
    if (this.#text.length < MAX_TEXT) this.#text = (this.#text + text).slice(0, MAX_TEXT);
  }

  onclosetag(): void {
    this.seen += 1;
    const path = this.#path.pop() ?? '';
    const text = this.#text.trim();
    this.#text = '';
    if (path.startsWith('feedback/record')) this.#recordField(path.slice('feedback/record'.length + 1), text);
    else if (text !== '' && !this.#fields.has(path)) this.#fields.set(path, text);
  }

  onprocessinginstruction(name: string): void {
    // A document type may define entities that expand to gigabytes; no report needs one.
    if (name.toLowerCase().startsWith('!doctype')) this.#refuse('it has a document type');
  }

  report(): DmarcReport {
    const of = (name: string): string => this.#fields.get(`feedback/${name}`) ?? '';
    const domain = of('policy_published/domain').toLowerCase();
    const begin = Number(of('report_metadata/date_range/begin')) * 1000;
    const end = Number(of('report_metadata/date_range/end')) * 1000;
    if (domain === '' || !(begin > 0) || !(end > 0)) throw refused('it names no domain, or no time');
    return {
      organisation: of('report_metadata/org_name'),
      reportId: of('report_metadata/report_id'),
      begin,
      end,
      domain,
      policy: disposition(of('policy_published/p')),
      rows: this.#rows,
    };
  }

  #recordField(path: string, text: string): void {
    const row = this.#row;
    if (!row) return;
    switch (path) {
      case '':
        this.#finishRow(row);
        break;
      case 'row/source_ip':
        row.sourceIp = text;
        break;
      case 'row/count':
        row.count = Number(text);
        break;
      case 'row/policy_evaluated/disposition':
        row.disposition = disposition(text);
        break;
      case 'row/policy_evaluated/dkim':
        row.dkim = text === 'pass';
        break;
      case 'row/policy_evaluated/spf':
        row.spf = text === 'pass';
        break;
      case 'identifiers/header_from':
        row.headerFrom = text.toLowerCase();
        break;
      case 'identifiers/envelope_from':
        row.envelopeFrom = text.toLowerCase();
        break;
      case 'auth_results/dkim/domain':
      case 'auth_results/dkim/selector':
      case 'auth_results/dkim/result':
        if (this.#signature) this.#signature[path.slice(18) as 'domain'] = text;
        break;
      case 'auth_results/dkim':
        if (this.#signature?.domain && row.signatures.length < MAX_SIGNATURES) {
          const { domain, selector, result = '' } = this.#signature;
          row.signatures.push({ domain: domain.toLowerCase(), ...(selector && { selector }), result });
        }
        break;
      case 'auth_results/spf/domain':
      case 'auth_results/spf/result':
        if (this.#spf) this.#spf[path.slice(17) as 'domain'] = text;
        break;
      case 'auth_results/spf':
        if (this.#spf?.domain) {
          row.spfDomain ??= { domain: this.#spf.domain.toLowerCase(), result: this.#spf.result ?? '' };
        }
        break;
    }
  }

  #finishRow({ sourceIp, count, headerFrom, ...rest }: RecordRow): void {
    this.#row = undefined;
    if (!sourceIp || !headerFrom || !Number.isSafeInteger(count) || count! < 0) return;
    if (this.#rows.length >= MAX_ROWS) {
      this.#refuse(`it has more than ${MAX_ROWS} rows`);
      return;
    }
    this.#rows.push({
      disposition: 'none',
      dkim: false,
      spf: false,
      ...rest,
      sourceIp,
      count: count!,
      headerFrom,
    });
  }

  #refuse(why: string): void {
    this.refusal ??= why;
  }
}

function disposition(text: string): DmarcDisposition {
  return text === 'quarantine' || text === 'reject' ? text : 'none';
}

function refused(why: string): PosternError {
  return new PosternError('bad_request', `The DMARC report is refused: ${why}.`);
}
