/** Mailbox providers of France: Orange (Wanadoo), La Poste, Free, SFR. */
import type { Rule } from '../rule.ts';

/** Codes `OFR…`: postmaster.orange.fr. */
export const orange: readonly Rule[] = [
  {
    id: 'orange.connections',
    reason: 'Too many connections at once for Orange (OFR…_104).',
    match: { provider: 'orange', code: 421, text: 'trop de connexions' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: [
      '421 mwinf5c63 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR005_104 [104]',
      '421 mwinf5c79 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]',
    ],
  },
  {
    id: 'orange.refused',
    reason: 'Orange puts this IP off (OFR_103, OFR_505, OFR_999).',
    match: { provider: 'orange', text: 'service refuse. veuillez essayer plus tard' },
    trigger: { events: 3, within: '1h' },
    action: 'suspend',
    duration: '1h',
    samples: [
      '421 mwinf5c77 ME Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR_999 [999]',
      '550 mwinf5c10 ME Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR006_103 192.0.2.10 [103]',
      '421 4.2.0 Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR005_505 [505]',
    ],
  },
  {
    id: 'orange.blocked',
    reason: 'Orange has blocked this IP for spam (OFR…_102).',
    match: { code: '5xx', provider: 'orange', text: 'adresse ip source bloquee pour incident de spam' },
    action: ['suspend', 'alert'],
    duration: '2h',
    samples: [
      '550 mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_102 Ref http://csi.cloudmark.com/reset-request/?ip=192.0.2.10 [102]',
      '550 mwinf5c32 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_101 Ref http://www.spamhaus.org/query/ip/192.0.2.10 [101]',
    ],
  },
  {
    id: 'orange.spam',
    reason: "Orange refuses this sender's mail as spam (OFR_506).",
    match: { provider: 'orange', code: '5xx', text: 'mail rejete. mail rejected' },
    trigger: { events: 10, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'site'],
    duration: '2h',
    samples: [
      '550 5.2.0 Mail rejete. Mail rejected. OFR_506 [506]',
      '550 5.2.0 Mail rejete. Mail rejected. ofr_506 [506]',
    ],
  },
  {
    id: 'orange.spf',
    reason: "Orange cannot verify the SPF record of this sender's domain.",
    match: { code: '4xx', provider: 'orange', text: 'spf/dns de votre nom de domaine' },
    action: 'alert',
    scope: ['tenant', 'provider'],
    duration: '1d',
    samples: [
      '421 smtp.orange.fr [192.0.2.10] Emetteur invalide, Veuillez verifier la configuration SPF/DNS de votre nom de domaine. Invalid Sender. SPF check failed, please verify the SPF/DNS configuration for your domain name.',
    ],
  },
];

/** Codes `LPN…`: postmaster.laposte.net. */
export const laposte: readonly Rule[] = [
  {
    id: 'laposte.connections',
    reason: 'Too many connections at once for La Poste (LPN…_104).',
    match: { code: '4xx', provider: 'laposte', text: 'too many connections, slow down' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: [
      '421 4.7.0 Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. LPN105_104',
    ],
  },
  {
    id: 'laposte.blocked',
    reason: 'La Poste has blocked this IP (LPN…_101, LPN…_102).',
    match: {
      code: '5xx',
      provider: 'laposte',
      text: ['were blocked by our services', 'lpnaaa_101', 'client host rejected lpn000_630'],
    },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '550 5.5.0 Les emails envoyes vers la messagerie Laposte.net ont ete bloques par nos services. Afin de regulariser votre situation, nous vous invitons a cliquer sur le lien ci-dessous et a suivre la procedure. The emails sent to the mail host Laposte.net were blocked by our services. To regularize your situation please click on the link below and follow the procedure https://senderscore.org/blacklistlookup/ LPN007_102',
      '550 5.7.1 Service unavailable; client [192.0.2.10] blocked using Spamhaus Les emails envoyes vers la messagerie Laposte.net ont ete bloques par nos services. https://www.spamhaus.org/lookup/ LPNAAA_101',
      '554 5.7.1 Client host rejected LPN000_630',
    ],
  },
  {
    id: 'laposte.refused',
    reason: 'La Poste puts this IP off (LPN…_505, LPN…_510).',
    match: { provider: 'laposte', text: 'service refuse. veuillez essayer plus tard' },
    trigger: { events: 3, within: '1h' },
    action: 'suspend',
    duration: '1h',
    samples: [
      '421 4.2.1 Service refuse. Veuillez essayer plus tard. Service refused, please try later. LPN007_505',
      '550 5.7.1 Service refuse. Veuillez essayer plus tard. service refused, please try later. LPN007_510',
    ],
  },
  {
    id: 'laposte.too-many-errors',
    reason: 'La Poste breaks off: too many errors of this IP.',
    match: { provider: 'laposte', code: 421, text: 'error: too many errors' },
    trigger: { events: 5, within: '10m' },
    action: { limit: { connections: 1, messagesPerConnection: 5 } },
    duration: '1h',
    samples: ['421 4.7.0 lpn-prd-vrin012 Error: too many errors'],
  },
];

/** postmaster.free.fr: a block ends by itself within 24 hours. */
export const free: readonly Rule[] = [
  {
    id: 'free.connections',
    reason: 'Too many connections at once for Free.',
    match: { provider: 'free', code: 421, text: 'server busy * too many connections' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: ['421 Server busy - too many connections, please try again later'],
  },
  {
    id: 'free.spam',
    reason: 'Free has blocked this IP: too much spam from it.',
    match: { provider: 'free', text: 'too many spams from your ip' },
    action: ['suspend', 'alert'],
    duration: '2h',
    samples: [
      '421 Too many spams from your IP (192.0.2.10), please visit http://postmaster.free.fr/',
      '550 Too many spams from your IP (192.0.2.10), please visit http://postmaster.free.fr/',
    ],
  },
  {
    id: 'free.errors',
    reason: 'Free has blocked this IP: too many errors of it.',
    match: { code: '4xx', provider: 'free', text: 'too many errors from your ip' },
    action: ['suspend', 'alert'],
    duration: '2h',
    samples: ['451 too many errors from your ip (192.0.2.10), please visit http://postmaster.free.fr/'],
  },
];

export const sfr: readonly Rule[] = [
  {
    id: 'sfr.abuse',
    reason: 'SFR has blocked this IP for abuse (GU_EIB).',
    match: { code: '5xx', provider: 'sfr', text: 'client host rejected: abus detecte gu_eib' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 5.7.1 <mail.example.org[192.0.2.10]>: Client host rejected: Abus detecte GU_EIB_02',
      '554 5.7.1 <mail.example.org[192.0.2.10]>: Client host rejected: Abus detecte GU_EIB_04',
    ],
  },
  {
    id: 'sfr.spam',
    reason: "SFR refuses this sender's mail as spam.",
    match: { code: '5xx', provider: 'sfr', text: 'rejected per spam policy' },
    trigger: { events: 10, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'site'],
    duration: '2h',
    samples: ['550 5.7.1 Email 4RH2xT4NwZz1LQKck rejected per SPAM policy'],
  },
];
