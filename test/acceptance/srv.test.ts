/** A relay host whose servers and ports are in SRV records, asked of a real name server. Needs root, iproute2 and postfix (for smtp-sink). */
import { after, before, test } from "node:test";
import { needs } from "../lab/needs.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { makePostern } from "../lab/postern.ts";
import { startSink } from "../lab/sink.ts";

const able = needs({ root: true, programs: ["ip", "ss", "smtp-sink"] });
let network: Network;

before(async () => {
  if (able.skip) return;
  network = await makeNetwork({
    "_submission._tcp.isp.example": "srv:10:0:2500:down.isp.example srv:20:5:2501:up.isp.example",
    "_submission._tcp.none.example": "srv:0:0:0:.",
    ...{ "down.isp.example": "10.77.0.2", "up.isp.example": "10.77.0.2" },
    "plain.example": "10.77.0.2",
  });
});

after(() => network?.remove());

test("the relay host's servers and ports are those of its SRV records, the next where one is down", able, async () => {
  const sink = await startSink(network.provider, 2501);
  const postern = makePostern({
    host: network.client,
    mainCf: { relayhost: "isp.example:submission", use_srv_lookup: "submission" },
  });
  try {
    postern.start();
    postern.send("Subject: x\n\nx\n", ["you@far.example"]);
    await postern.logged(/connect to down\.isp\.example\[10\.77\.0\.2\]:2500: Connection refused/);
    await postern.logged(/to=<you@far\.example>, relay=up\.isp\.example\[10\.77\.0\.2\]:2501, .*status=sent/);
    await sink.received(1);
  } finally {
    postern.remove();
    sink.stop();
  }
});

test("a service that is not there, and a name without records, do what the parameters say", able, async () => {
  const sink = await startSink(network.provider, 587);
  const postern = makePostern({
    host: network.client,
    mainCf: {
      ...{ use_srv_lookup: "submission", allow_srv_lookup_fallback: "yes" },
      transport_maps: "inline:{none.example=smtp:none.example:submission,other.example=smtp:plain.example:submission}",
    },
  });
  try {
    postern.start();
    postern.send("Subject: x\n\nx\n", ["a@other.example"]);
    await postern.logged(/skipping SRV lookup for _submission\._tcp\.plain\.example: Host or domain name not found/);
    await postern.logged(/to=<a@other\.example>, relay=plain\.example\[10\.77\.0\.2\]:587, .*status=sent/);
    postern.send("Subject: x\n\nx\n", ["a@none.example"]);
    await postern.logged(
      /skipping SRV lookup for _submission\._tcp\.none\.example: Domain .* does not support SRV requests/,
    );
    await postern.logged(/to=<a@none\.example>, relay=none, .*dsn=5\.4\.4, status=bounced/);
  } finally {
    postern.remove();
    sink.stop();
  }
});
