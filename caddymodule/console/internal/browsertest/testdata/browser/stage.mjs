// Plays the providers and the backends, through the test that runs the scripts.
import { randomUUID } from 'node:crypto';
import { until } from './check.mjs';

export const setting = JSON.parse(process.env.SETTING);

async function ask(path, body = {}) {
	const answer = await fetch(setting.stage + path, { method: 'POST', body: JSON.stringify(body) });
	if (!answer.ok) {
		throw new Error(`${path}: ${await answer.text()}`);
	}
	return answer.json();
}

// send sends a provider's webhook, which must be answered with its status (200), and returns the id of
// its event.
export async function send(webhook) {
	const { status: want = 200, ...sent } = webhook;
	const { status, id } = await ask('/send', { provider: 'soapnoteapi', type: 'note.generated', ...sent });
	if (status !== want) {
		throw new Error(`the webhook was answered ${status}`);
	}
	return id;
}

// store stores an event whose texts can be anything.
export const store = (event) => ask('/store', event);

// reject records a rejected request whose texts can be anything.
export const reject = (rejection) => ask('/reject', rejection);

// backend changes a backend: { status } is what it answers, { down: true } stops it.
export const backend = (name, change = {}) => ask('/backend', { name, ...change });

// restore has all backends accept events again.
export async function restore() {
	for (const name of setting.upstreams) {
		await backend(name, { status: 200 });
	}
}

// delivered returns whether a backend has accepted an event.
export const delivered = async (name, id) => (await ask('/delivered', { name })).includes(id);

// courses returns the state of each delivery of an event by its upstream, with the numbers of their
// attempts as attempts, or null if the event is not in the store.
export const courses = (id) => ask('/courses', { id });

// dead sends a note that archive refuses for good, and returns the id of its event.
export async function dead(note = subject()) {
	await backend('archive', { status: 410 });
	const id = await send({ subject: note });
	await until('the delivery is dead', async () => (await courses(id)).archive === 'dead');
	await backend('archive', { status: 200 });
	return id;
}

// requests returns the requests that the sites with a console received, from a number on.
export const requests = async (from = 0) => ask('/requests', { from });

// visitors returns the requests that the stranger's site received.
export const visitors = () => ask('/visitors');

// uuid returns a subject as the providers choose them.
export const uuid = randomUUID;

let subjects = 0;

// subject returns the id of a note that no other check has.
export const subject = () => `browser-note-${Date.now()}-${++subjects}`;
