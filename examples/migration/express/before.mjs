// A handler of one's own for SOAPNoteAPI, as many are written: it checks the signature,
// answers in time, and saves the note afterwards.
//
//   SOAPNOTE_SECRET=whsec_... NOTES=/tmp/notes PORT=3000 node before.mjs
import { createHmac, timingSafeEqual } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import express from 'express';

const secret = process.env.SOAPNOTE_SECRET;

function genuine(req) {
  const timestamp = req.get('X-SoapNoteAPI-Timestamp') ?? '';
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false;
  const want = createHmac('sha256', secret).update(`${timestamp}.`).update(req.body).digest();
  const got = Buffer.from(req.get('X-SoapNoteAPI-Signature') ?? '', 'hex');
  return got.length === want.length && timingSafeEqual(got, want);
}

// The directory NOTES stands for the database.
async function save(name, note) {
  const file = `${process.env.NOTES}/${encodeURIComponent(name)}`;
  await writeFile(`${file}.new`, JSON.stringify(note), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

const app = express();

app.post('/webhooks/soapnoteapi', express.raw({ type: 'application/json', limit: '10mb' }), async (req, res) => {
  if (!genuine(req)) return res.sendStatus(401);
  const payload = JSON.parse(req.body);
  res.json({ received: true });
  if (payload.event === 'note.generated') {
    save(payload.note_id, payload.data).catch((err) => console.error(`not saved: ${err.code}`));
  }
});

app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
