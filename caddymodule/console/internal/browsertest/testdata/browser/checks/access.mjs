// Who is let in, and that other sites can do nothing through a user's browser.
import { check, expect, until } from '../check.mjs';
import { courses, requests, send, setting, subject, visitors } from '../stage.mjs';
import { open, visit } from '../visit.mjs';

const refused = (text) => /status of 40[13]/.test(text);

check('a visitor who is not allowed sees why and what to write', (browser) => visit(browser, { site: 'closed', allows: refused }, async (page) => {
	for (const path of ['', 'events', 'style.css', 'act']) {
		await open(page, path, 403);
		const text = await page.innerText('body');
		for (const want of ['Caddy has not authenticated it', 'basic_auth', 'scribegate_console', 'allow_loopback']) {
			expect(text.includes(want), `${path}: ${want} is not on the page`);
		}
	}
}));

check('a name that resolves to loopback is refused', (browser) => visit(browser, {
	allows: (text) => refused(text) || text.startsWith('a request to http://evil.test'),
}, async (page) => {
	const answer = await page.goto(setting.consoles.loopback.replace('localhost', 'evil.test'));
	expect(answer.status() === 403, `status ${answer.status()}`);
	expect(/its Host evil.test/i.test(await page.innerText('body')), `the page says ${await page.innerText('body')}`);
}));

check('an address with the user and the password in it', (browser) => visit(browser, { site: 'guarded', httpCredentials: undefined }, async (page) => {
	const note = subject();
	await open(page, setting.consoles.guarded.replace('://', `://${setting.user}:${encodeURIComponent(setting.password)}@`));
	await send({ subject: note });
	await page.getByText(note).waitFor(); // the script asks with the same address
}));

// The stranger's site is on another port of localhost, which is the same site, and on 127.0.0.1,
// which is another site.
for (const host of ['localhost', '127.0.0.1']) {
	for (const site of ['guarded', 'loopback']) {
		check(`a page of ${host}, another port, can do nothing at ${site}`, (browser) => visit(browser, {
			site, allows: (text) => refused(text) || text.startsWith(`a request to ${stranger(host)}`) || /ERR_BLOCKED_BY_RESPONSE|frame-ancestors|X-Frame-Options|CORS|ERR_FAILED|Cross-Origin/.test(text),
		}, async (page) => {
			const id = await send({ subject: subject() });
			await open(page); // the browser knows the password now
			const from = (await requests()).length, seen = (await visitors()).length;
			const form = { action: 'purge', id, force: '1', token: 'x' };
			const target = setting.consoles[site];

			// A form that is sent by the page itself.
			await page.goto(stranger(host));
			const [answer] = await Promise.all([
				page.waitForResponse((r) => r.url() === `${target}act`),
				page.evaluate(([action, fields]) => {
					const f = document.body.appendChild(document.createElement('form'));
					f.method = 'post';
					f.action = action;
					for (const [name, value] of Object.entries(fields)) {
						Object.assign(f.appendChild(document.createElement('input')), { name, value });
					}
					f.submit();
				}, [`${target}act`, form]),
			]);
			expect(answer.status() === 403, `the form: status ${answer.status()}`);
			await page.waitForLoadState();
			expect(/another site/.test(await page.innerText('body')), 'the page does not say why');

			// A request of its script, with the user's password, and a frame.
			await page.goto(stranger(host));
			await page.evaluate(([action, fields]) => fetch(action, { method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams(fields) }).catch(() => 0), [`${target}act`, form]);
			const readable = await page.evaluate((address) => fetch(address, { credentials: 'include' }).then((r) => r.text(), () => ''), target);
			expect(readable === '', 'another site can read a page');
			await page.evaluate((address) => new Promise((resolve) => {
				const frame = document.body.appendChild(document.createElement('iframe'));
				frame.onload = resolve;
				frame.src = address;
			}), target);
			for (const frame of page.frames().slice(1)) {
				expect(await frame.locator('#board').count() === 0, 'another site can frame a page');
			}

			const posts = (await requests(from)).filter((r) => r.Method === 'POST');
			expect(posts.length >= 2, `the console received ${posts.length} forms`);
			expect(site !== 'guarded' || posts[0].Authorization !== '', 'the browser sent no password, so that this shows nothing');
			expect((await courses(id)) !== null, 'the event was purged');

			// A link from the console to elsewhere, if there were one.
			await open(page, `event?id=${id}`);
			await page.evaluate((address) => location.assign(address), stranger(host));
			await page.waitForURL(stranger(host));
			await until('the stranger is visited', async () => (await visitors()).length > seen + 2);
			const referers = (await visitors()).map((v) => v.Referer).filter((r) => r !== '');
			expect(referers.length === 0, `other sites receive the referrers ${referers}`);
		}));
	}
}

const stranger = (host) => setting.stranger.replace('localhost', host);
