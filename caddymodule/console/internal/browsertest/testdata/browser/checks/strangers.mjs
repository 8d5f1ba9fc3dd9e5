// Markup in every text that a stranger, another plugin or a proxy can choose is shown as text.
import { check, expect, until } from '../check.mjs';
import { reject, store } from '../stage.mjs';
import { open, visit } from '../visit.mjs';

// markup returns markup that would run a script, if a page had it as markup.
const markup = (where) => `"'><img src=x class=markup onerror=window.hacked=1><script>hacked=1</script>{{1}}&lt;b&gt;${where}`;

check('markup of strangers is text on each page', (browser) => visit(browser, {
	site: 'prefixed', extraHTTPHeaders: { 'X-Test-User': markup('user') },
	allows: (text) => text.includes('status of 40'),
}, async (page) => {
	const event = (state, more) => store({
		id: markup(`id-${state}`), provider: markup('provider'), type: markup('type'), subject: markup(`subject-${state}`), ...more,
	});
	await event('pending', { upstreams: [markup('upstream')] });
	for (const state of ['quarantined', 'unrouted', 'unconfirmed']) {
		await event(state, { state, reason: markup(`reason-${state}`) });
	}
	await reject({ provider: markup('provider'), reason: markup('rejection'), client: markup('client') });

	const address = (state) => `event?id=${encodeURIComponent(markup(`id-${state}`))}`;
	for (const [path, ...shown] of [
		['', 'user', 'upstream', 'subject-pending', 'type', 'provider', 'rejection'],
		['events', 'subject-pending', 'id-unrouted', 'type', 'provider', 'upstream'],
		[address('pending'), 'user', 'id-pending', 'subject-pending', 'upstream', 'provider', 'type'],
		['quarantined', 'id-quarantined', 'reason-quarantined'],
		[address('quarantined'), 'id-quarantined', 'subject-quarantined', 'reason-quarantined'],
		['unrouted', 'id-unrouted', 'subject-unrouted', 'type'],
		['unconfirmed', 'id-unconfirmed', 'reason-unconfirmed'],
		[address('unconfirmed'), 'reason-unconfirmed'],
		[`preview?action=purge&${address('pending').slice(6)}`, 'id-pending', 'subject-pending'],
	]) {
		await until(`${path}: the texts of ${shown} are shown as they are`, async () => { // the newest may be 2 s old
			await open(page, path);
			const text = await page.evaluate(() => document.body.textContent);
			return shown.every((where) => text.includes(markup(where)));
		});
		expect(await page.locator('.markup, script:not([src])').count() === 0, `${path}: a stranger's text is an element`);
		expect(!await page.evaluate(() => 'hacked' in globalThis), `${path}: a stranger's script ran`);
		const width = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
		expect(width === 0, `${path}: the page is ${width} pixels wider than the window`);
	}
	for (const path of [`events?q=${encodeURIComponent(markup('q'))}`, `events?type=${encodeURIComponent(markup('type'))}`, `dead?upstream=${encodeURIComponent(markup('u'))}`, `${encodeURIComponent(markup('page'))}`]) {
		await page.goto(path);
		expect(await page.locator('.markup, script:not([src])').count() === 0, `${path}: what is in the address is an element`);
	}
}));
