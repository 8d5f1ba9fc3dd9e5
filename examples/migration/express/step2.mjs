// The handler of before.mjs as a backend of Scribegate: it receives the events of both
// providers in one form, signed by the gateway.
//
//   SCRIBEGATE_SIGNING_SECRET=whsec_... NOTES=/tmp/notes PORT=3000 node step2.mjs
import { createHmac, timingSafeEqual } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import express from 'express';

const key = Buffer.from(process.env.SCRIBEGATE_SIGNING_SECRET.replace(/^whsec_/, ''), 'base64');

function genuine(req) {
  const [id, timestamp] = [req.get('webhook-id'), req.get('webhook-timestamp') ?? ''];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false; // it is that of this attempt
  const want = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(req.body).digest();
  return (req.get('webhook-signature') ?? '').split(' ').some((signature) => {
    const got = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
    return got.length === want.length && timingSafeEqual(got, want);
  });
}

// The directory NOTES stands for the database.
async function save(name, note) {
  const file = `${process.env.NOTES}/${encodeURIComponent(name)}`;
  await writeFile(`${file}.new`, JSON.stringify(note), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

const app = express();

app.post('/events', express.raw({ type: 'application/cloudevents+json', limit: '32mb' }), async (req, res) => {
  if (!genuine(req)) return res.sendStatus(401);
  const { type, data } = JSON.parse(req.body);
  try {
    if (type === 'com.soapnoteapi.note.generated') await save(data.id, data.note);
    if (type === 'com.soniox.transcription.completed') {
      // Without a transcript there is the reason: look at these files, since the gateway deletes the event.
      const missing = 'unavailable' in data.transcription;
      await save(missing ? `${data.id}.unavailable` : data.id, data.transcription);
    }
    res.sendStatus(204);
  } catch (err) {
    console.error(`not saved: ${err.code}`);
    res.sendStatus(500); // the gateway sends the event again
  }
});

app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
