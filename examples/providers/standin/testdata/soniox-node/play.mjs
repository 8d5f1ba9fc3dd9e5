// Uses Soniox's own SDK against the API at SONIOX_API_BASE_URL, and receives its webhooks.
// Prints an object of JSON with what the SDK returned. The argument is the id of a
// transcription that is being processed.
import { createServer } from 'node:http';
import { SonioxNodeClient } from '@soniox/node';

const model = 'stt-async-v4';
const auth = { name: 'X-Webhook-Secret', value: 'secret-of-this-test' };
const { stt, files, webhooks } = new SonioxNodeClient(); // reads SONIOX_API_KEY too
const processing = process.argv[2];

// The SDK verifies each webhook that arrives.
const arrived = [];
let arrive;
let arrival = new Promise((resolve) => { arrive = resolve; });
const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const request = new Request(`http://127.0.0.1${incoming.url}`, {
    method: incoming.method,
    headers: incoming.headers,
    body: Buffer.concat(chunks),
  });
  const result = await webhooks.handleRequest(request, auth);
  arrived.push({ ...result, query: new URL(request.url).search });
  outgoing.writeHead(result.status).end();
  arrive();
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const webhook = {
  webhook_url: `http://127.0.0.1:${server.address().port}/soniox?user_id=123`,
  webhook_auth_header_name: auth.name,
  webhook_auth_header_value: auth.value,
};

async function failure(call) {
  try {
    return { returned: await call };
  } catch ({ statusCode, code, bodyText }) {
    return { statusCode, code, body: JSON.parse(bodyText) };
  }
}

async function all(pages) {
  const ids = [];
  for await (const { id } of pages) ids.push(id);
  return ids;
}

// A file is uploaded and transcribed.
const uploaded = await files.upload(Buffer.from('synthetic sound'), { filename: 'visit.wav', client_reference_id: 'file 7' });
const created = await stt.create({
  model,
  file_id: uploaded.id,
  language_hints: ['en'],
  enable_speaker_diarization: true,
  enable_language_identification: true,
  client_reference_id: 'visit 7',
  context: { terms: ['bronchitis'] },
  ...webhook,
});
await arrival;
const { event, query, status, fetchTranscript, fetchTranscription } = arrived[0];
const transcript = await fetchTranscript();
const completed = await fetchTranscription();

// Another one fails.
arrival = new Promise((resolve) => { arrive = resolve; });
const failing = await stt.create({ model, audio_url: 'https://example.com/fail.wav', ...webhook });
await arrival;
const failed = await stt.wait(failing.id);
const noTranscript = await failure(stt.getTranscript(failing.id));

// A third one is only polled.
const third = await stt.create({ model, audio_url: 'https://example.com/visit.wav' });
await stt.wait(third.id);

const report = {
  uploaded: uploaded.toJSON(),
  file: (await files.get(uploaded.id)).toJSON(),
  created: created.toJSON(),
  notYet: await failure(stt.getTranscript(processing)),
  busy: await failure(stt.delete(processing)),
  webhook: { event, query, status },
  completed: completed.toJSON(),
  transcript: { id: transcript.id, text: transcript.text, segments: transcript.segments().map(({ text, speaker, language }) => ({ text, speaker, language })) },
  failed: failed.toJSON(),
  failedWebhook: { event: arrived[1].event, query: arrived[1].query, status: arrived[1].status },
  noTranscript,
  listed: await all(await stt.list({ limit: 1 })),
  files: await all(await files.list({ limit: 1 })),
  ids: [processing, created.id, failing.id, third.id],
  count: await stt.count(),
  fileCount: await files.count(),
  invalid: await failure(stt.create({ model: 'no-model', audio_url: 'https://example.com/visit.wav' })),
  badCursor: await failure(stt.list({ cursor: 'no-cursor' })),
  wrongKey: await failure(new SonioxNodeClient({ api_key: 'snx_wrong' }).stt.list()),
  unknown: await stt.get('00000000-0000-4000-8000-000000000000'),
};

// destroy deletes the transcription and its file, delete the transcription alone.
await stt.destroy(created.id);
await stt.delete(failing.id);
await stt.delete(failing.id); // not there any more
report.deleted = [await stt.get(created.id), await files.get(uploaded.id), await stt.get(failing.id)];
report.rest = await stt.count();

server.close();
server.closeAllConnections();
console.log(JSON.stringify(report));
