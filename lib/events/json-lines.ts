/**
 * Writes events as JSON lines, for log shippers (Filebeat, Vector, Fluent Bit): a file that is appended to, or `-` for
 * standard output. A shipper follows the file by its inode, so that it may be rotated by rename: the file is opened
 * anew when its path no longer leads to it.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { FileTarget } from '../control/event-destination.ts';
import type { DestinationSender, EventMessage, SendResult } from '../engine/destinations.ts';

interface OpenFile {
  handle: FileHandle;
  inode: number;
}

/** @param print where `-` writes a line to. */
export function createJsonLines(print: (text: string) => void): DestinationSender<FileTarget> {
  const files = new Map<string, OpenFile>();

  async function fileAt(path: string): Promise<FileHandle> {
    const known = files.get(path);
    if (known) {
      const now = await stat(path).catch(() => undefined);
      if (now?.ino === known.inode) return known.handle;
      files.delete(path);
      await known.handle.close();
    }
    const handle = await open(path, 'a', 0o640);
    files.set(path, { handle, inode: (await handle.stat()).ino });
    return handle;
  }

  return {
    batch: 500,
    async send({ path }, events): Promise<SendResult[]> {
      const text = events.map(line).join('');
      try {
        if (path === '-') print(text);
        else {
          const handle = await fileAt(path);
          await handle.appendFile(text);
          await handle.datasync();
        }
        return events.map(() => ({ kind: 'taken' }));
      } catch (error) {
        const reason = (error as Error).message;
        return events.map(() => ({ kind: 'retry', text: reason }));
      }
    },
    async close() {
      for (const { handle } of files.values()) await handle.close();
      files.clear();
    },
  };
}

/** The members that a shipper files a line under come first; `event` is the event as SES writes it. */
function line({ id, tenant, configurationSet, messageId, at, event, json }: EventMessage): string {
  const head = JSON.stringify({
    '@timestamp': new Date(at).toISOString(),
    id,
    type: event.eventType,
    tenant,
    configurationSet,
    messageId,
  });
  return `${head.slice(0, -1)},"event":${json}}\n`;
}
