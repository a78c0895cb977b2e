import { crc32, deflateRawSync, gzipSync } from 'node:zlib';

const BEGIN = Date.UTC(2025, 11, 31) / 1000;

/** A row of a DMARC report. */
export function dmarcRow(ip: string, count: number, { dkim = 'pass', spf = 'fail' } = {}): string {
  return `<record><row><source_ip>${ip}</source_ip><count>${count}</count><policy_evaluated><disposition>none</disposition><dkim>${dkim}</dkim><spf>${spf}</spf></policy_evaluated></row><identifiers><header_from>example.com</header_from></identifiers><auth_results><dkim><domain>example.com</domain><result>pass</result></dkim></auth_results></record>`;
}

/** A DMARC report about example.com, as XML. */
export function dmarcXml(
  rows: string,
  { head = '', domain = 'example.com', id = 'r-1', begin = BEGIN } = {},
): string {
  return `<?xml version="1.0"?>${head}<feedback><report_metadata><org_name>receiver.example</org_name><report_id>${id}</report_id><date_range><begin>${begin}</begin><end>${begin + 86_400}</end></date_range></report_metadata><policy_published><domain>${domain}</domain><p>none</p></policy_published>${rows}</feedback>`;
}

/** A TLS report about example.com. */
export function tlsJson(failed: number, domain = 'example.com'): string {
  const day = new Date(BEGIN * 1000).toISOString();
  return JSON.stringify({
    'organization-name': 'sender.example',
    'report-id': 't-1',
    'date-range': { 'start-datetime': day, 'end-datetime': day },
    policies: [
      {
        policy: { 'policy-type': 'sts', 'policy-domain': domain },
        summary: { 'total-successful-session-count': 90, 'total-failure-session-count': failed },
        'failure-details': [{ 'result-type': 'certificate-expired', 'failed-session-count': failed }],
      },
    ],
  });
}

/** A zip archive with one file, its sizes only in the directory (bit 3), as streaming writers make them. */
export function zip(content: Buffer, files = 1): Buffer {
  const packed = deflateRawSync(content);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(8, 6);
  local.writeUInt16LE(8, 8);
  local.writeUInt16LE(5, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(8, 10);
  central.writeUInt32LE(crc32(content), 16);
  central.writeUInt32LE(packed.length, 20);
  central.writeUInt32LE(content.length, 24);
  central.writeUInt16LE(5, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files, 8);
  end.writeUInt16LE(files, 10);
  end.writeUInt32LE(51, 12);
  end.writeUInt32LE(30 + 5 + packed.length, 16);
  return Buffer.concat([local, Buffer.from('r.xml'), packed, central, Buffer.from('r.xml'), end]);
}

/** A mail with one attachment, as receivers send reports. */
export function reportMail(type: string, content: Buffer): Buffer {
  const lines = content.toString('base64').replace(/.{76}/g, '$&\r\n');
  return Buffer.from(
    `From: dmarc@receiver.example\r\nSubject: Report Domain: example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n--b\r\nContent-Type: ${type}; name="r"\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines}\r\n--b--\r\n`,
  );
}

export const gzip = (text: string): Buffer => gzipSync(text);
