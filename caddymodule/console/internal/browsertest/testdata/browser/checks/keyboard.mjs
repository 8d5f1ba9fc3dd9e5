// With a keyboard alone.
import { check, expect, until } from '../check.mjs';
import { courses, dead, delivered, subject } from '../stage.mjs';
import { open, visit } from '../visit.mjs';

// tab presses Tab until an element has the focus. Each element on the way must be visible and show
// that it has the focus.
async function tab(page, what, selector) {
	for (let presses = 0; presses < 80; presses++) {
		await page.keyboard.press('Tab');
		const { fault, there } = await page.evaluate((wanted) => {
			const e = document.activeElement;
			if (e === document.body) {
				return { fault: '', there: false }; // the browser's own controls come after the last one
			}
			const style = getComputedStyle(e), r = e.getBoundingClientRect();
			const describe = `${e.tagName} ${e.id} ${e.textContent.trim().slice(0, 40)}`;
			let fault = '';
			if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 1.5) {
				fault = `${describe} does not show that it has the focus`;
			} else if (r.width === 0 || r.bottom < 0 || r.top > innerHeight || r.right < 0 || r.left > innerWidth) {
				fault = `${describe} has the focus and is not in the window`;
			} else {
				const line = e.getClientRects()[0]; // the first line of its text
				const front = document.elementFromPoint(line.left + line.width / 2, Math.min(Math.max(line.top + line.height / 2, 0), innerHeight - 1));
				if (!e.contains(front) && !front?.contains(e)) {
					fault = `${describe} has the focus and is behind ${front?.outerHTML.slice(0, 80)}`;
				}
			}
			return { fault, there: e.matches(wanted) };
		}, selector);
		expect(fault === '', fault);
		if (there) {
			return;
		}
	}
	throw new Error(`${what} was not reached with Tab`);
}

check('with a keyboard: search, open an event, replay it', (browser) => visit(browser, { site: 'guarded' }, async (page) => {
	const note = subject();
	const id = await dead(note);

	await open(page);
	await page.keyboard.press('Tab');
	expect(await page.evaluate(() => document.activeElement.className) === 'skip', 'the first stop does not lead to the content');
	await page.keyboard.press('Enter');
	expect(await page.evaluate(() => document.activeElement.id) === 'main', 'the link does not lead to the content');
	await page.reload();
	await tab(page, 'Events', 'nav a[href=events]');
	await page.keyboard.press('Enter');
	await page.waitForURL(/events$/);
	await tab(page, 'the search', '#q');
	await page.keyboard.type(note);
	await page.keyboard.press('Enter');
	await page.waitForURL(/q=/);
	await tab(page, 'the event', 'td.what a');
	await page.keyboard.press('Enter');
	await page.waitForURL(/event\?/);
	await tab(page, 'Replay to archive', 'a[href*="upstream=archive"][href^=preview]');
	await page.keyboard.press('Enter');
	await page.waitForURL(/preview/);
	await tab(page, 'the confirmation', 'form[action=act] button');
	await page.keyboard.press('Space');
	await page.waitForURL(/job/);
	await until('it is delivered', () => delivered('archive', id));
	await tab(page, 'the way back', 'main a.main');
	await page.keyboard.press('Enter');
	await page.waitForURL(/event\?/);
}));

check('with a keyboard: select dead letters, and cancel their purge', (browser) => visit(browser, { site: 'guarded' }, async (page) => {
	const id = await dead();
	await open(page, 'dead');
	for (;;) {
		await tab(page, 'the box of the event', `summary, input[value="${id}"]`);
		const [name, isOpen, holds] = await page.evaluate((wanted) => {
			const e = document.activeElement;
			return [e.tagName, e.parentElement.open, e.parentElement.querySelector(`input[value="${wanted}"]`) !== null];
		}, id);
		if (name === 'INPUT') {
			break;
		}
		if (holds && !isOpen) {
			await page.keyboard.press('Enter');
		}
	}
	await page.keyboard.press('Space');
	await tab(page, 'Purge selected', 'button[value=purge]');
	await page.keyboard.press('Enter');
	await page.waitForURL(/preview/);
	await page.getByRole('heading', { level: 1, name: /1 event/ }).waitFor();
	await tab(page, 'Cancel', 'main form a');
	await page.keyboard.press('Enter');
	await page.waitForURL(/dead/);
	expect((await courses(id)).archive === 'dead', 'it is gone');
}));
