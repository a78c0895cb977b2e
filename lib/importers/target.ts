/** The service that an import writes to: its `/v1` API, and its SES API for what `/v1` does not have. */
import { SESv2Client } from '@aws-sdk/client-sesv2';

export interface TargetOptions {
  /** `http://127.0.0.1:8025` */
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region?: string;
}

/** An answer that is no success. */
export class TargetError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class ImportTarget {
  readonly ses: SESv2Client;
  readonly #options: TargetOptions;

  constructor(options: TargetOptions) {
    this.#options = options;
    const { url, region = 'us-east-1', accessKeyId, secretAccessKey } = options;
    this.ses = new SESv2Client({ endpoint: url, region, credentials: { accessKeyId, secretAccessKey } });
  }

  /** Calls `/v1`. @throws TargetError with the service's own sentence; its action is part of it. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<unknown> {
    const { url, accessKeyId, secretAccessKey } = this.#options;
    const isText = typeof body === 'string';
    const answer = await fetch(new URL(`/v1${path}`, url), {
      method,
      headers: {
        authorization: `Bearer ${accessKeyId}.${secretAccessKey}`,
        ...(body !== undefined && !isText && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: isText ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    const json: unknown = text === '' ? undefined : parsed(text);
    if (answer.ok) return json;
    const { message, action } = ((json as { error?: { message?: string; action?: string } } | undefined)
      ?.error ?? {}) as { message?: string; action?: string };
    throw new TargetError(
      answer.status,
      [message ?? `HTTP ${answer.status}`, action].filter(Boolean).join(' '),
    );
  }

  close(): void {
    this.ses.destroy();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
