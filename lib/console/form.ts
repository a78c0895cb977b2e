/** What a form submitted: fields by name, and files. */
import { PosternError } from '../errors.ts';

export class Form {
  static readonly EMPTY = new Form(new FormData());
  readonly #data: FormData;

  constructor(data: FormData) {
    this.#data = data;
  }

  /**
   * Reads a body as a browser sends it.
   * @param type its content type. @throws PosternError `bad_request` for any other.
   */
  static async read(body: Buffer, type: string): Promise<Form> {
    try {
      const response = new Response(new Uint8Array(body), { headers: { 'content-type': type } });
      return new Form(await response.formData());
    } catch (cause) {
      throw new PosternError('bad_request', 'The body is not a form.', { cause });
    }
  }

  /** A field without the space around it; undefined where nothing was entered. */
  text(name: string): string | undefined {
    const value = this.#data.get(name);
    return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
  }

  /** A field as it was entered, with its own lines. */
  whole(name: string): string | undefined {
    const value = this.#data.get(name);
    return typeof value === 'string' && value !== '' ? value.replaceAll('\r\n', '\n') : undefined;
  }

  has(name: string): boolean {
    return this.#data.has(name);
  }

  all(name: string): string[] {
    return this.#data.getAll(name).filter((one) => typeof one === 'string');
  }

  /** A file; undefined where none was chosen. */
  async file(name: string): Promise<{ name: string; bytes: Buffer } | undefined> {
    const value = this.#data.get(name);
    if (value === null || typeof value === 'string' || value.size === 0) return undefined;
    return { name: value.name, bytes: Buffer.from(await value.arrayBuffer()) };
  }
}
