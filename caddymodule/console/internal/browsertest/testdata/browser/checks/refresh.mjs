// An open page shows what changes, and leaves alone what its user does.
import { check, expect, until } from '../check.mjs';
import { backend, courses, reject, send, subject } from '../stage.mjs';
import { open, visit } from '../visit.mjs';

check('an upstream that is killed turns red without a reload, and recovers', (browser) => visit(browser, {}, async (page) => {
	await open(page);
	await page.evaluate(() => { globalThis.loadedOnce = true; });
	const lane = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'warehouse' }) });
	const heading = page.getByRole('heading', { level: 1 });
	await backend('warehouse', { down: true });
	const sent = [];
	for (let n = 0; n < 6; n++) { // one more than pause an upstream
		sent.push(await send({ subject: subject() }));
	}
	await lane.getByText('paused after failures').waitFor();
	await lane.and(page.locator('.bad')).waitFor();
	await heading.getByText('warehouse has').waitFor();
	expect(await page.locator('.verdict.bad').count() === 1, 'the verdict is not red');
	await page.locator('#spoken').getByText('warehouse does not accept events').waitFor({ state: 'attached' });
	expect((await lane.innerText()).includes('no connection'), 'the lane does not say why');

	await backend('warehouse');
	await lane.getByText('delivering').waitFor();
	await until('what waited is delivered', async () => {
		for (const id of sent) {
			if ((await courses(id)).warehouse !== 'delivered') {
				return false;
			}
		}
		return true;
	});
	await heading.getByText('All upstreams accept events').waitFor();
	expect(await page.evaluate(() => globalThis.loadedOnce), 'the page was loaded again');
}));

check('an open event shows its next attempt', (browser) => visit(browser, {}, async (page) => {
	await backend('ehr', { status: 500 });
	const id = await send({ subject: subject() });
	await until('an attempt failed', async () => (await courses(id)).attempts.ehr > 0);
	await open(page, `event?id=${id}`);
	await page.getByRole('row').filter({ hasText: '500' }).first().waitFor();
	await backend('ehr', { status: 200 });
	await page.getByRole('heading', { level: 1 }).getByText('delivered').waitFor();
}));

check('focus, selected text and open details stay when a part is refreshed', (browser) => visit(browser, {}, async (page) => {
	await reject({ provider: 'soapnoteapi', reason: 'signature_mismatch', client: '192.0.2.7' });
	const first = subject();
	await send({ subject: first });
	await open(page);
	await page.locator('#requests summary').filter({ hasText: 'signature_mismatch' }).click();
	const link = page.getByRole('link', { name: first });
	await link.focus();
	const refreshed = async () => {
		const next = subject();
		await send({ subject: next });
		await page.getByText(next).waitFor();
	};
	await refreshed();
	expect(await link.evaluate((e) => e === document.activeElement), 'the focus is lost');
	await reject({ provider: 'soapnoteapi', reason: 'signature_mismatch', client: '192.0.2.8' });
	await page.getByText('192.0.2.8').waitFor(); // visible: the details are still open
	await link.evaluate((e) => getSelection().selectAllChildren(e));
	const from = subject();
	await send({ subject: from });
	await page.waitForResponse((r) => r.request().headers()['scribegate-part'] === '1');
	await page.waitForResponse((r) => r.request().headers()['scribegate-part'] === '1');
	expect(await page.evaluate(() => String(getSelection())) === first, 'the selected text is lost');
	await page.evaluate(() => getSelection().removeAllRanges());
	await page.getByText(from).waitFor();
}));
