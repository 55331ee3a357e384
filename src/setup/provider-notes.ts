/**
 * What people have to know about a provider before they log in, by the host of its mail server. Facts with the
 * year in which they were looked up; what a provider says on its own pages counts.
 */
export interface ProviderNote {
  /** Of the server's host name. */
  readonly hosts: RegExp;
  /** What the user name is, where it is not the mail address. */
  readonly account?: string;
  /** What is asked for as password, where it is not the password of the account. */
  readonly password?: string;
  /** How much may be sent. */
  readonly quota?: string;
  /** Passwords are no longer taken, or will not be: since or from when, and what to do instead. */
  readonly ending?: { readonly state: "ended" | "ending"; readonly text: string };
}

export const providerNotes: readonly ProviderNote[] = [
  {
    hosts: /^smtp\.(?:gmail|googlemail)\.com$/,
    account: "the whole address",
    password:
      "an app password (16 letters, from myaccount.google.com/apppasswords; two-step verification has to be on). Google refuses the account's own password to mail programs since 30 May 2022, and for Workspace since 1 May 2025",
    quota: "500 recipients a day; 2,000 with Workspace",
  },
  {
    hosts: /^smtp-relay\.gmail\.com$/,
    account: "the whole address of a user of the Workspace organisation",
    password: "an app password of that user; or none, where an administrator permits this host's address",
    quota: "10,000 recipients a day for each user",
  },
  {
    hosts: /^smtp\.office365\.com$/,
    account: "the whole address of the mailbox",
    password: "the mailbox's password, with SMTP AUTH switched on for it by an administrator and no security defaults",
    quota: "10,000 recipients a day, 30 messages a minute",
    ending: {
      state: "ending",
      text:
        "Microsoft 365 switches logins by password off at the end of December 2026 (an administrator can switch them on again for a while; organisations made later cannot use them) and will name the final date in 2027. " +
        "Plan for another way: a connector that knows this host by its address, or Azure Communication Services, or another provider",
    },
  },
  {
    hosts: /^smtp-mail\.outlook\.com$/,
    account: "the whole address",
    ending: {
      state: "ended",
      text: "Outlook.com and Hotmail take no password since 16 September 2024, only OAuth 2.0, which is not built in yet. Use another provider for this host",
    },
  },
  {
    hosts: /^smtp\.mail\.yahoo\.com$|^smtp\.aol\.com$/,
    account: "the whole address",
    password:
      "an app password, made in the account's security settings; the account's own password is refused since October 2020",
    quota: "500 messages a day",
  },
  {
    hosts: /^smtp\.mail\.me\.com$/,
    account: "the address, of icloud.com, me.com or mac.com",
    password: "an app-specific password, from account.apple.com",
    quota: "1,000 recipients a day",
  },
  {
    hosts: /^smtp\.fastmail\.com$/,
    account: "the whole address",
    password: "an app password with access to SMTP, made in the settings",
  },
  {
    hosts: /^smtp\.zoho\./,
    account: "the whole address",
    password: "an app password where two-factor authentication is on",
  },
  {
    hosts: /^smtp\.sendgrid\.net$/,
    account: "apikey (this word)",
    password: "an API key with the permission Mail Send",
  },
  {
    hosts: /^email-smtp\..*\.amazonaws\.com$/,
    account: "the user name of SMTP credentials, made in the SES console for this region",
    password: "the password of those credentials; a secret access key is not it",
    quota: "200 messages a day until Amazon has given production access",
  },
  {
    hosts: /^smtp\.(?:eu\.)?mailgun\.org$/,
    account: "an SMTP user of the sending domain, such as postmaster@mg.your-domain.org",
    password: "that user's password, from the domain's SMTP settings",
  },
  {
    hosts: /^smtp\.postmarkapp\.com$/,
    account: "a server API token",
    password: "the same token again",
  },
  {
    hosts: /^smtp-relay\.brevo\.com$/,
    account: "the SMTP login of the account's settings",
    password: "an SMTP key; it is not the API key",
    quota: "300 messages a day without a plan",
  },
  {
    hosts: /^smtp\.resend\.com$/,
    account: "resend (this word)",
    password: "an API key",
  },
  {
    hosts: /^in(?:-v3)?\.mailjet\.com$/,
    account: "the API key",
    password: "the secret key",
  },
  {
    hosts: /^smtp\.protonmail\.ch$/,
    account: "an address of a custom domain",
    password: "an SMTP token for that address, made in the settings; paid plans only",
  },
  {
    hosts: /^smtp\.sparkpostmail\.com$/,
    account: "SMTP_Injection (this word)",
    password: "an API key with the permission Send via SMTP",
  },
];

export function noteFor(host: string): ProviderNote | undefined {
  return providerNotes.find(({ hosts }) => hosts.test(host.toLowerCase()));
}
