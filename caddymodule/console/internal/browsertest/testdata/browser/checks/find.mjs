// Events are found, with and without script.
import { check, expect } from '../check.mjs';
import { dead, send, subject } from '../stage.mjs';
import { open, visit } from '../visit.mjs';

for (const [how, javaScriptEnabled] of [['', true], [', without script', false]]) {
	check(`an event is found by its note's id and by its own${how}`, (browser) => visit(browser, { javaScriptEnabled }, async (page, context) => {
		const note = subject(), id = await send({ subject: note });
		for (let n = 0; n < 3; n++) {
			await send({ subject: subject() });
		}
		for (const [query, address] of [[note, note], [` ${id} `, id]]) {
			await open(page);
			await page.getByRole('link', { name: 'Events', exact: true }).click();
			await page.getByLabel('Id or subject').fill(query);
			await page.getByRole('button', { name: 'Search' }).click();
			await page.waitForURL((url) => url.search.includes(address));
			expect(await page.locator('.list tbody tr').count() === 1, `${query}: not one event was found`);
			await page.locator('.list tbody a').first().click();
			await page.waitForURL((url) => url.search.includes(id));
			await page.getByRole('heading', { level: 1 }).getByText('note.generated').waitFor();
			const text = await page.innerText('main');
			for (const want of [note, id, 'ehr', 'warehouse', 'archive']) {
				expect(text.includes(want), `${want} is not on the event's page`);
			}
		}
		const other = await context.newPage(); // a link that was pasted into a chat
		await open(other, page.url());
		expect(await other.innerText('h1') === await page.innerText('h1'), 'the address does not lead to the event');
	}));

	check(`a search by state, type, upstream and time${how}`, (browser) => visit(browser, { javaScriptEnabled }, async (page) => {
		await open(page, 'events');
		await page.getByLabel('Type').fill('note.failed');
		await page.getByLabel('State').selectOption('dead');
		await page.getByLabel('Upstream').selectOption('archive');
		await page.getByLabel('Received in the last').selectOption({ label: '7 days' });
		await page.getByRole('button', { name: 'Search' }).click();
		await page.waitForURL(/state=dead/);
		const found = page.locator('.list tbody tr');
		expect(await found.count() === 1 && (await found.innerText()).includes('archive dead'), `found: ${await page.innerText('.list')}`);
		for (const [label, value] of [['Type', 'note.failed'], ['State', 'dead'], ['Upstream', 'archive'], ['Received in the last', '7d']]) {
			expect(await page.getByLabel(label).inputValue() === value, `the form has lost ${label}`);
		}
		await page.getByRole('link', { name: 'Clear' }).click();
		await page.waitForURL(/events$/);
		expect(await found.count() > 10, 'the search is not cleared');
	}));
}

check('the meaning of each attempt is on the event\'s page', (browser) => visit(browser, {}, async (page) => {
	const id = await dead();
	await open(page, `event?id=${id}`);
	const row = page.getByRole('row').filter({ hasText: '410' });
	await row.getByText('gone: dead at once').waitFor();
}));
