/** What people read in notifications. The words are Postfix's: filters and people know them. */

export type Kind = "failure" | "delay" | "success";

export interface Template {
  readonly subject: string;
  readonly postmasterSubject: string;
  readonly text: (facts: TemplateFacts) => readonly string[];
}

/** What the texts tell of the configuration: its values, or the names that stand for them. */
export interface TemplateFacts {
  readonly myhostname: string;
  readonly delayWarning_h: number | string;
  readonly lifetime_d: number | string;
}

const opening = ({ myhostname }: TemplateFacts) => [`This is the mail system at host ${myhostname}.`, ""];

const help = [
  "For further assistance, please send mail to postmaster.",
  "",
  "If you do so, please include this problem report. You can",
  "delete your own text from the attached returned message.",
  "",
];

const signature = "                   The mail system";

export const templates: Readonly<Record<Kind, Template>> = {
  failure: {
    subject: "Undelivered Mail Returned to Sender",
    postmasterSubject: "Postmaster Copy: Undelivered Mail",
    text: (facts) => [
      ...opening(facts),
      "I'm sorry to have to inform you that your message could not",
      "be delivered to one or more recipients. It's attached below.",
      "",
      ...help,
      signature,
    ],
  },
  delay: {
    subject: "Delayed Mail (still being retried)",
    postmasterSubject: "Postmaster Warning: Delayed Mail",
    text: (facts) => [
      ...opening(facts),
      "####################################################################",
      "# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #",
      "####################################################################",
      "",
      `Your message could not be delivered for more than ${facts.delayWarning_h} hour(s).`,
      `It will be retried until it is ${facts.lifetime_d} day(s) old.`,
      "",
      ...help,
      signature,
    ],
  },
  success: {
    subject: "Successful Mail Delivery Report",
    postmasterSubject: "Successful Mail Delivery Report",
    text: (facts) => [
      ...opening(facts),
      "Your message was successfully delivered to the destination(s)",
      "listed below. If the message was delivered to mailbox you will",
      "receive no further notifications. Otherwise you may still receive",
      "notifications of mail delivery errors from other systems.",
      "",
      signature,
    ],
  },
};
