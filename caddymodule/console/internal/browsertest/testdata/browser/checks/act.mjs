// Replays and purges, each with its preview and its confirmation, with and without script.
import { check, expect, until } from '../check.mjs';
import { courses, dead, delivered, send, store, subject } from '../stage.mjs';
import { open, visit } from '../visit.mjs';

// cause returns the section of the events that are in a state for one cause.
const cause = (page, text) => page.locator('section.group').filter({ hasText: text });

// unfold shows the list of a group.
async function unfold(group) {
	await group.locator('summary').waitFor();
	if (!await group.locator('table').isVisible()) {
		await group.locator('summary').click();
	}
}

const confirm = (page, name) => page.getByRole('button', { name }).click();

for (const [how, javaScriptEnabled] of [['', true], [', without script', false]]) {
	check(`a dead letter is replayed and delivered${how}`, (browser) => visit(browser, { site: 'guarded', javaScriptEnabled }, async (page) => {
		const id = await dead();
		await open(page, `event?id=${id}`);
		await page.getByRole('link', { name: 'Replay to archive…' }).click();
		await page.getByRole('heading', { level: 1, name: 'Replay 1 delivery?' }).waitFor();
		expect((await courses(id)).archive === 'dead', 'the preview has replayed it');
		await confirm(page, 'Replay 1 delivery');
		await page.getByRole('heading', { level: 1, name: '1 delivery replayed' }).waitFor();
		expect((await page.innerText('main')).includes('started by alice'), 'the page does not say by whom');
		await until('it is delivered', () => delivered('archive', id));
		await page.getByRole('link', { name: 'Back to what was replayed' }).click();
		await page.getByRole('heading', { level: 1 }).getByText('delivered').waitFor();
		await page.reload();
		expect((await courses(id)).attempts.archive === 1, 'it was replayed twice');
	}));

	check(`a purge is previewed and cancelled, then confirmed${how}`, (browser) => visit(browser, { site: 'guarded', javaScriptEnabled, allows: (text) => text.includes('status of 404') }, async (page) => {
		const id = await dead();
		await open(page, `event?id=${id}`);
		await page.getByRole('link', { name: 'Purge…' }).click();
		await page.getByRole('heading', { level: 1, name: 'Delete 1 event for good?' }).waitFor();
		await page.getByRole('link', { name: 'Cancel' }).click();
		await page.getByRole('heading', { level: 1 }).getByText('note.generated').waitFor();
		expect(await courses(id) !== null, 'it is gone although the purge was cancelled');
		await page.getByRole('link', { name: 'Purge…' }).click();
		await confirm(page, 'Delete 1 event for good');
		await page.getByRole('heading', { level: 1, name: '1 event purged' }).waitFor();
		expect(await courses(id) === null, 'it is not gone');
		await open(page, `event?id=${id}`, 404);
	}));

	check(`what is dead of one cause is replayed, and what came after the page is not${how}`, (browser) => visit(browser, { javaScriptEnabled }, async (page) => {
		const before = [await dead(), await dead()];
		await open(page, 'dead');
		await cause(page, '410').getByRole('link', { name: 'Replay all of this cause…' }).click();
		const button = page.getByRole('button', { name: /^Replay \d+ deliveries$/ });
		const n = Number((await button.innerText()).match(/\d+/));
		expect(n >= 2, `the preview says ${n} deliveries`);
		const after = await dead();
		await button.click();
		await page.getByRole('heading', { level: 1, name: `${n} deliveries replayed` }).waitFor();
		for (const id of before) {
			await until('it is delivered', () => delivered('archive', id));
		}
		expect((await courses(after)).archive === 'dead', 'what came after the page was replayed too');
	}));

	check(`selected dead letters are purged, and no other${how}`, (browser) => visit(browser, { javaScriptEnabled }, async (page) => {
		const [first, second, kept] = [await dead(), await dead(), await dead()];
		await open(page, 'dead');
		const group = cause(page, '410');
		await unfold(group);
		await group.getByRole('checkbox', { name: `Select ${first}` }).check();
		await group.getByRole('checkbox', { name: `Select ${second}` }).check();
		await group.getByRole('button', { name: 'Purge selected…' }).click();
		await page.getByRole('heading', { level: 1, name: /2 events/ }).waitFor();
		const after = await dead();
		await confirm(page, /^Delete .*2 events for good/);
		await page.getByRole('heading', { level: 1, name: /2 events purged/ }).waitFor();
		for (const id of [first, second]) {
			expect((await courses(id))?.archive === undefined, 'a selected dead letter is not gone');
		}
		for (const id of [kept, after]) {
			expect((await courses(id)).archive === 'dead', 'a dead letter that was not selected is gone');
		}
	}));

	check(`what is quarantined, unrouted and unconfirmed is shown with its cause${how}`, (browser) => visit(browser, { javaScriptEnabled }, async (page) => {
		await send({ body: `{"event":"note.generated","status":"completed","x":"${subject()}"}`, status: 400 });
		const unrouted = await send({ provider: 'soniox', type: 'transcription.error', subject: subject() });
		const unconfirmed = `soniox-${subject()}`;
		await store({ id: unconfirmed, provider: 'soniox', type: 'transcription.completed', subject: subject(), state: 'unconfirmed', reason: 'the provider does not know the transcription' });
		for (const [state, text, id] of [
			['quarantined', 'note_id is missing'],
			['unrouted', 'transcription.error', unrouted],
			['unconfirmed', 'the provider does not know the transcription', unconfirmed],
		]) {
			await open(page);
			await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: new RegExp(state, 'i') }).click();
			await page.waitForURL(new RegExp(`/${state}$`));
			const group = cause(page, text);
			await unfold(group);
			const row = id ? group.getByRole('row').filter({ hasText: id }) : group.locator('tbody tr').first();
			await row.locator('td.what a').click();
			await page.getByRole('heading', { level: 1 }).getByText(state).waitFor();
			expect((await page.innerText('main')).includes(state === 'unrouted' ? 'No upstream accepted its type' : text), 'the event does not show the cause');
			const replays = await page.getByRole('link', { name: /^Replay/ }).count();
			expect(replays === (state === 'quarantined' ? 0 : 1), `the ${state} event has ${replays} buttons to replay it`);
		}
	}));
}

check('a confirmation that is sent twice acts once', (browser) => visit(browser, {}, async (page) => {
	const id = await dead();
	await open(page, `event?id=${id}`);
	await page.getByRole('link', { name: 'Replay to archive…' }).click();
	const preview = page.url(), sent = page.waitForRequest((r) => r.method() === 'POST');
	await confirm(page, 'Replay 1 delivery');
	await page.getByRole('heading', { level: 1, name: '1 delivery replayed' }).waitFor();
	const job = page.url();
	await until('it is delivered', () => delivered('archive', id));
	const again = await page.evaluate((body) => fetch('act', { method: 'POST', body: new URLSearchParams(body) }).then((r) => r.url), (await sent).postData());
	expect(again === job, `it led to ${again}, want ${job}`);
	expect((await courses(id)).attempts.archive === 1, 'it was replayed twice');
	await open(page, preview);
	await page.getByRole('heading', { level: 1, name: 'There is nothing to replay' }).waitFor();
}));

check('one box selects all of its list', (browser) => visit(browser, {}, async (page) => {
	await dead();
	await open(page, 'dead');
	const group = cause(page, '410');
	await unfold(group);
	await group.getByLabel('Select all of this list').check();
	expect(await group.locator('input[name=id]:not(:checked)').count() === 0, 'not all boxes are checked');
}));

check('read_only has no buttons, and refuses what they would do', (browser) => visit(browser, { site: 'readonly', allows: (text) => text.includes('status of 403') }, async (page) => {
	const id = await dead();
	for (const path of ['', 'dead', 'quarantined', 'unrouted', 'unconfirmed', `event?id=${id}`]) {
		await open(page, path);
		for (const control of ['main button', 'main .button', 'main input[type=checkbox]', 'main form[method=post]', 'main a[href^=preview]']) {
			expect(await page.locator(control).count() === 0, `${path} has a ${control}`);
		}
		expect((await page.innerText('header')).includes('read only'), `${path} does not say that it is read only`);
	}
	await open(page, `preview?action=purge&id=${id}`, 403);
	expect((await page.innerText('main')).includes('read_only'), 'the page does not say why');
	const status = await page.evaluate((body) => fetch('act', { method: 'POST', body: new URLSearchParams(body) }).then((r) => r.status), { action: 'purge', id, force: '1', token: 'x' });
	expect(status === 403, `the form was answered ${status}`);
	expect((await courses(id)).archive === 'dead', 'the event is gone');
}));
