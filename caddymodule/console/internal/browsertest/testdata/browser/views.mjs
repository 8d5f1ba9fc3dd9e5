// The pages of the console.
import { setting } from './stage.mjs';
import { expect } from './check.mjs';
import { open } from './visit.mjs';

// views returns the name and the address of a page of each kind. The events are found as a user
// would find them, by the links of the first search.
let found;
function views(browser) {
	found ??= find(browser);
	return found;
}

async function find(browser) {
	const page = await browser.newPage({ baseURL: setting.consoles.loopback, javaScriptEnabled: false });
	const first = async (state) => {
		await page.goto(`events?state=${state}`);
		return page.locator('td.what a').last().getAttribute('href');
	};
	const all = [
		['overview', ''],
		['events', 'events'],
		['a search', 'events?state=delivered&type=note.generated&since=24h'],
		['a search without a result', 'events?q=no-such-note'],
		['an invalid search', 'events?q=%3Cb%3E&since=soon', 400],
		['an unknown event', 'event?id=soapnoteapi-0', 404],
		['an unknown page', 'nowhere', 404],
	];
	for (const state of ['delivered', 'dead', 'pending', 'quarantined', 'unrouted', 'unconfirmed']) {
		all.push([`a ${state} event`, await first(state)]);
	}
	for (const state of ['dead', 'quarantined', 'unrouted', 'unconfirmed']) {
		all.push([state, state]);
		await page.goto(state);
		for (const action of await page.getByRole('link', { name: /^(Replay|Purge) all of/ }).all()) {
			all.push([`a preview to ${(await action.innerText()).split(' ')[0].toLowerCase()} ${state}`, await action.getAttribute('href')]);
		}
	}
	await page.close();
	return all.filter(([name], i) => all.findIndex(([other]) => other === name) === i);
}

// each opens each page, or each of those that are named, and calls f with its name, a list to which f
// adds faults, and the answer. It throws an error with the faults of all pages.
export async function each(browser, page, f, names) {
	const faults = [];
	for (const [name, path, status = 200] of (await views(browser)).filter(([name]) => !names || names.includes(name))) {
		const answer = await open(page, path, status), its = [];
		await f(name, its, answer);
		faults.push(...its.map((fault) => `${name}: ${fault}`));
	}
	expect(faults.length === 0, faults.join('\n'));
}

// failedPage says whether a message of the browser is about a page whose status is not 200.
export const failedPage = (text) => /status of 40[034]/.test(text);
