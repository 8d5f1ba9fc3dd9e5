// Answers requests as Soniox's own SDK does. A line of standard input is a
// request: {"name","value": the configured header, "header": [[name, value]...],
// "body": base64}. A line of standard output is the SDK's answer to it:
// {"status", "id", "event"}.
import { createInterface } from 'node:readline';
import { SonioxNodeClient } from '@soniox/node';

// The key is for its REST API, which the webhook handlers do not call.
const { webhooks } = new SonioxNodeClient({ api_key: 'none' });

for await (const line of createInterface({ input: process.stdin })) {
  const { name, value, header, body } = JSON.parse(line);
  const request = new Request('http://localhost/soniox', {
    method: 'POST',
    headers: header,
    body: Buffer.from(body, 'base64'),
  });
  const { status, event } = await webhooks.handleRequest(request, { name, value });
  console.log(JSON.stringify({ status, id: event?.id, event: event?.status }));
}
