import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { realFiles } from "../runtime/files.ts";
import { AuthoritiesError, loadAuthorities } from "./authorities.ts";

// A self-signed certificate of nobody, valid long ago; only its form matters here.
const pem = `-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIUG8bDKWb3LlPUJOSgNmI16DCg5SYwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwObm9ib2R5LmV4YW1wbGUwHhcNMjYxMTIzMDUxMjM3WhcNMjYx
MTI1MDUxMjM3WjAZMRcwFQYDVQQDDA5ub2JvZHkuZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABJ4btOlZO1UKiG5ALe+9XcdjRhK+oQ2/uRpfAAsq6TG6
KL0j3TQnv2hNShIqgBJrAFFVpVPP11r8W5jVt+3SJb6jUzBRMB0GA1UdDgQWBBRe
+26VBoZtDZbZdd91zGaJB8Oi/DAfBgNVHSMEGDAWgBRe+26VBoZtDZbZdd91zGaJ
B8Oi/DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDesZiAuO2c
rJZy2OzFDMspYPfDFkZvOiuuHO0lJBCVuQIgRqUwc1A+5w3FsjLIyK5RLn5yqx3t
IGxvyAaGH5fFcqo=
-----END CERTIFICATE-----
`;

let directory = "";

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "postern-authorities-"));
  await mkdir(join(directory, "path", "sub"), { recursive: true });
  await writeFile(join(directory, "ca.pem"), `some words\n${pem}${pem}`);
  await writeFile(join(directory, "empty.pem"), "nothing\n");
  await writeFile(join(directory, "broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  await writeFile(join(directory, "path", "README"), "words");
  await writeFile(join(directory, "path", "a.crt"), pem);
  await writeFile(
    join(directory, "path", "broken.crt"),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  );
  await symlink("nowhere", join(directory, "path", "dangling"));
  await symlink("a.crt", join(directory, "path", "12345678.0"));
});

after(() => rm(directory, { recursive: true }));

const load = (CAfile: string, CApath: string, system = false) =>
  loadAuthorities(
    {
      smtp_tls_CAfile: CAfile && join(directory, CAfile),
      smtp_tls_CApath: CApath && join(directory, CApath),
      tls_append_default_CA: system,
    },
    realFiles,
  );

test("authorities come from a file and a directory, each once", async () => {
  assert.deepEqual((await load("", "")).certificates, []);
  assert.deepEqual((await load("ca.pem", "path")).certificates, [pem]);
});

test("what a directory holds besides certificates is passed over, a broken one with a warning", async () => {
  const { certificates, warnings } = await load("", "path");
  assert.deepEqual(certificates, [pem]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /broken\.crt: not used as an authority/);
});

test("a file that is missing, empty or broken is an error that names it", async () => {
  for (const name of ["none.pem", "empty.pem", "broken.pem", "path"]) {
    await assert.rejects(load(name, ""), (error) => error instanceof AuthoritiesError && error.message.includes(name));
  }
  await assert.rejects(load("", "none"), AuthoritiesError);
});
