/** A zone of TXT records in a name server elsewhere. */
export interface TextRecord {
  /** Whole name, as `token.dkim.mail.example.com`. */
  name: string;
  /** Character strings of the record (RFC 1035 §3.3), 255 octets each at most; absent: there is to be none. */
  strings?: readonly string[];
}

export interface HostedZone {
  /**
   * Writes records, whatever was there, and removes others. What breaks off may have written some; a repeat is harmless.
   * @param ttl s. @throws PosternError `storage_unavailable`.
   */
  write(records: readonly TextRecord[], ttl: number): Promise<void>;
}
