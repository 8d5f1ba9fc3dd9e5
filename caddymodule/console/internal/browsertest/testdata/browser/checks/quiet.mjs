// What no page does: write script or style into itself, show a payload or a secret, or ask for
// anything while nobody looks at it.
import { check, expect, until } from '../check.mjs';
import { requests, setting } from '../stage.mjs';
import { open, visit } from '../visit.mjs';
import { each, failedPage } from '../views.mjs';

const patterns = {
	'a style': /<style|\sstyle=/i,
	'a script': /<script(?![^>]*\ssrc="console\.js")/i,
	'a handler of events': /<[^>]*\son[a-z]+\s*=/i,
	'an address that is a script': /javascript:/i,
};

for (const [site, how] of [['loopback', 'on loopback'], ['prefixed', 'under a path, for a user that a header names']]) {
	check(`each page ${how}: nothing from elsewhere, nothing secret, no script or style in it`, (browser) => visit(browser, { site, allows: failedPage }, async (page) => {
		await each(browser, page, async (name, faults, answer) => {
			const html = await answer.text();
			for (const [what, pattern] of Object.entries(patterns)) {
				if (pattern.test(html)) {
					faults.push(`${what} is in the page`);
				}
			}
			for (const secret of [setting.planted, ...setting.secrets]) {
				if (html.includes(secret)) {
					faults.push(`${secret} is on the page`);
				}
			}
			if (await page.locator('h1').count() !== 1 || await page.title() === '') {
				faults.push('it has not one heading and a title');
			}
			const lost = (await page.innerText('body')).match(/undefined|NaN|%!|<no value>|0001-01-01/);
			if (lost) {
				faults.push(`${lost} is on the page`);
			}
			for (const link of await page.locator('a[href]').evaluateAll((all) => all.map((a) => a.href))) {
				if (!link.startsWith(setting.consoles[site])) {
					faults.push(`a link leads to ${link}`);
				}
			}
		});
	}));
}

check('every link leads to a page', (browser) => visit(browser, { javaScriptEnabled: false, allows: failedPage }, async (page) => {
	const links = new Map();
	await each(browser, page, async (name, faults, answer) => {
		for (const link of await page.locator('a[href]:not([href=""])').evaluateAll((all) => all.map((a) => a.href.replace(/#.*/, '')))) {
			if (link !== answer.url()) {
				links.set(link.replace(/id=[^&]*/, 'id='), link); // one of each kind
			}
		}
	});
	const broken = [];
	for (const link of links.values()) {
		const answer = await page.request.get(link);
		if (answer.status() !== 200) {
			broken.push(`${link}: status ${answer.status()}`);
		}
	}
	expect(links.size > 10 && broken.length === 0, `${links.size} links; ${broken.join('\n')}`);
}));

// asked returns how often the script has asked for the parts of a page since a request.
const asked = async (from) => (await requests(from)).filter((r) => r.Part === '1').length;

check('a hidden tab asks nothing', (browser) => visit(browser, {}, async (page) => {
	await page.clock.install();
	await open(page);
	const turn = (hidden) => page.evaluate((h) => {
		Object.defineProperty(document, 'hidden', { configurable: true, get: () => h });
		document.dispatchEvent(new Event('visibilitychange'));
	}, hidden);
	let from = (await requests()).length;
	await until('the page is refreshed', async () => {
		await page.clock.runFor(2100);
		return await asked(from) > 0;
	});
	await turn(true);
	await page.clock.runFor(10_000);
	from = (await requests()).length;
	await page.clock.runFor(600_000);
	expect(await asked(from) === 0, `it asked ${await asked(from)} times`);
	await turn(false);
	await until('the page is refreshed when it is shown again', () => asked(from));
}));

check('a page asks at most once every 2 s', (browser) => visit(browser, {}, async (page) => {
	await page.clock.install();
	await page.addInitScript(() => {
		const { fetch } = globalThis;
		globalThis.asks = [];
		globalThis.fetch = (...args) => {
			globalThis.asks.push(Date.now());
			return fetch(...args);
		};
	});
	await open(page);
	const asks = await until('the page asks six times', async () => {
		await page.clock.runFor(250);
		const all = await page.evaluate(() => globalThis.asks);
		return all.length >= 6 && all;
	});
	const gaps = asks.slice(1).map((at, i) => at - asks[i]);
	expect(gaps.every((gap) => gap >= 2000), `it asked after ${gaps.join(', ')} ms`);
}));

check('a gateway that is out of reach, and comes back', (browser) => visit(browser, { allows: (text) => /ERR_INTERNET_DISCONNECTED/.test(text) }, async (page, context) => {
	await open(page);
	await context.setOffline(true);
	await page.getByText('Not updated since').waitFor();
	await context.setOffline(false);
	await page.getByText('Not updated since').waitFor({ state: 'hidden' });
}));
