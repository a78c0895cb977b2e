/** Mailbox providers of Russia: Mail.ru, Yandex. */
import type { Rule } from '../rule.ts';

export const mailRu: readonly Rule[] = [
  {
    id: 'mail-ru.deferred',
    reason: 'Mail.ru puts this IP off.',
    match: { provider: 'mail-ru', code: '4xx', text: 'temporarily rejected' },
    trigger: { events: 5, within: '10m' },
    action: 'suspend',
    duration: '2h',
    samples: ['421 Temporarily rejected. Try again later'],
  },
  {
    id: 'mail-ru.spam',
    reason: "Mail.ru refuses this sender's mail as spam.",
    match: { provider: 'mail-ru', code: 550, text: 'spam message (rejected|discarded)' },
    trigger: { events: 5, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '2h',
    samples: [
      '550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=fhtDsnELae77cN6t9-j6dIPfAZm8McBDFOVns8DZ9Q1n62fvJQEllQsAAAAOxQEA6zMdHg~~ or  report details to abuse@corp.mail.ru. Error code: B2431B7EEE690B71ADDE70FB74FAE8F79901DF8343C031BCB367E5140DF5D9C0EF67EB6795250125. ID: 0000000B0001C50E1E1D33EB.',
      '550 spam message discarded. If you think that the system is mistaken, please report details to abuse@corp.mail.ru',
    ],
  },
  {
    id: 'mail-ru.blocked',
    reason: 'Mail.ru has blocked this IP.',
    match: {
      provider: 'mail-ru',
      code: '5xx',
      text: ['access from ip address * blocked', 'we do not accept mail from'],
    },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '550 Access from ip address 192.0.2.10 blocked. Visit http://win.mail.ru/cgi-bin/support_bl?ip=192.0.2.10',
      '550 We do not accept mail from dynamic IPs or hosts with generic DNS PTR-records. Please get a custom reverse DNS name from your ISP for your host 192.0.2.10 or contact abuse@corp.mail.ru in case of error.',
    ],
  },
];

export const yandex: readonly Rule[] = [
  {
    id: 'yandex.unavailable',
    reason: 'Yandex puts mail from here off.',
    match: {
      provider: 'yandex',
      code: '4xx',
      text: 'the service is currently unavailable. please come back later',
    },
    trigger: { events: 5, within: '10m' },
    action: 'suspend',
    duration: '15m',
    samples: [
      '451 4.7.1 Sorry, the service is currently unavailable. Please come back later. 8ohqT2RI-8ohqQZ6F',
    ],
  },
  {
    id: 'yandex.spam',
    reason: "Yandex refuses this sender's mail as spam.",
    match: { code: '5xx', provider: 'yandex', text: 'message rejected under suspicion of spam' },
    trigger: { events: 5, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '4h',
    samples: [
      '554 5.7.1 [1] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc 1579252814-3qRzFNbWvb-xiWuK5Kx',
      '554 5.7.1 Message rejected under suspicion of SPAM; http://help.yandex.ru/mail/spam/sending-limits.xml 1425990813-GDvc6YdjVh-GkSCQjMm',
    ],
  },
  {
    id: 'yandex.blocked',
    reason: 'Yandex has blocked this IP for the spam that it sent.',
    match: { code: '5xx', provider: 'yandex', text: 'blocked by spam statistics' },
    action: ['suspend', 'alert'],
    duration: '6h',
    samples: [
      '554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked by spam statistics - see http://feedback.yandex.ru/?from=mail-rejects&subject=192.0.2.10',
    ],
  },
];
