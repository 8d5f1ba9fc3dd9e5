// How each page looks: on a telephone, in the dark, printed, and to a screen reader. These checks
// take the pictures too.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { check, expect, until } from '../check.mjs';
import { backend, dead, reject, send, setting, uuid } from '../stage.mjs';
import { open, visit, wide } from '../visit.mjs';
import { each, failedPage } from '../views.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// fail waits until the warehouse, which is away, is paused. The other upstreams are delivering, and
// some requests were rejected.
async function fail(page) {
	await backend('warehouse', { down: true });
	for (const [provider, reason, client] of [
		['soapnoteapi', 'signature_mismatch', '203.0.113.18'], ['soapnoteapi', 'signature_mismatch', '203.0.113.18'], ['soniox', 'auth_mismatch', '198.51.100.7'],
	]) {
		await reject({ provider, reason, client });
	}
	await send({ provider: 'soniox', type: 'transcription.completed', subject: uuid() });
	await send({ subject: uuid() });
	await until('the warehouse is paused', async () => {
		await open(page);
		const text = await page.innerText('#board');
		if (text.includes('paused after failures') && text.includes('delivering')) {
			return true;
		}
		await send({ subject: uuid() });
		return false;
	});
}

// The best of these are shown in the documentation.
check('pictures for the documentation', (browser) => visit(browser, { site: 'guarded', viewport: { width: 1240, height: 860 }, deviceScaleFactor: 2 }, async (page) => {
	await fail(page);
	await picture(page, 'documentation-overview', false);
	await page.emulateMedia({ colorScheme: 'dark' });
	await each(browser, page, (name) => picture(page, `documentation-${name.replace(/^a /, '')}-dark`, false), ['overview', 'dead', 'a dead event']);
}));

// A window with a name has a picture.
const desktop = { ...wide, name: '' }, tablet = { width: 1024, height: 700 }, phone = { width: 360, height: 740, name: '.narrow' }, smallest = { width: 320, height: 640 };

check('each page in light colours: accessible, and fits into 1440, 1024, 360 and 320 pixels', (browser, note) => look(browser, note, 'light', [desktop, tablet, phone, smallest]));
check('each page in the dark: accessible', (browser, note) => look(browser, note, 'dark', [desktop]));

async function look(browser, note, colorScheme, sizes) {
	await visit(browser, { site: 'guarded', colorScheme, allows: failedPage }, async (page) => {
		const inspect = inspector(page, note, colorScheme, sizes);
		await fail(page);
		await each(browser, page, inspect);
		const id = await dead(), faults = [];
		await open(page, `preview?action=replay&id=${id}&upstream=archive`);
		await page.locator('form[action=act] button').click();
		await page.waitForURL(/job/);
		await inspect('a job', faults);
		expect(faults.length === 0, faults.join('\n'));
	});
	await visit(browser, { site: 'closed', colorScheme, allows: failedPage }, async (page) => {
		const faults = [];
		await open(page, '', 403);
		await inspector(page, note, colorScheme, sizes)('a visitor who is not allowed', faults);
		expect(faults.length === 0, faults.join('\n'));
	});
}

// inspector returns a function that adds the faults of the page that is open to a list.
const inspector = (page, note, colorScheme, sizes) => async (name, faults) => {
	for (const size of sizes) {
		await page.setViewportSize(size);
		for (const fault of await page.evaluate(misplaced)) {
			faults.push(`${name} at ${size.width} pixels: ${fault}`);
		}
		if (size.name !== undefined) {
			await picture(page, `${name}.${colorScheme}${size.name}`);
		}
	}
	await page.setViewportSize(wide);
	await page.evaluate(axe);
	const { violations } = await page.evaluate(() => globalThis.axe.run({ preload: false }));
	for (const v of violations) {
		const text = `${name}: ${v.impact}: ${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.html} ${n.any[0]?.message ?? ''}`).join('; ')}`;
		if (v.impact === 'serious' || v.impact === 'critical') {
			faults.push(text);
		} else {
			note(text);
		}
	}
};

check('each page, printed from a dark screen', (browser) => visit(browser, { site: 'guarded', colorScheme: 'dark', viewport: { width: 794, height: 1123 }, allows: failedPage }, async (page) => {
	await page.emulateMedia({ media: 'print' });
	await each(browser, page, async (name, faults) => {
		faults.push(...await page.evaluate(misplaced), ...await page.evaluate(inverted));
		for (const control of await page.locator('button, .button, input, nav a').all()) {
			if (await control.isVisible()) {
				faults.push(`a control is printed: ${await control.evaluate((e) => e.outerHTML)}`);
			}
		}
		await picture(page, `${name}.print`);
	});
}));

// inverted returns what would be printed on a dark ground or in light ink. It runs in the page.
function inverted() {
	const found = new Set();
	const light = (color) => {
		const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
		return a < 0.5 ? undefined : (r * 0.3 + g * 0.59 + b * 0.11) / (color.startsWith('color(') ? 1 : 255);
	};
	for (const e of document.body.querySelectorAll('*')) {
		const style = getComputedStyle(e);
		if (e.checkVisibility({ visibilityProperty: true }) && !e.closest('svg') && (light(style.backgroundColor) < 0.7 || light(style.color) > 0.5)) {
			found.add(`${e.tagName} ${e.className}: ${style.color} on ${style.backgroundColor}`);
		}
	}
	return [...found].slice(0, 8);
}

const picture = (page, name, fullPage = true) => page.screenshot({ path: join(setting.pictures, `${name.replace(/^an? /, '').replaceAll(' ', '-')}.png`), fullPage });

// misplaced returns what makes the page scroll sideways, and the texts and controls that cover each
// other. It runs in the page.
function misplaced() {
	const found = [], width = document.documentElement.clientWidth;
	const describe = (e) => `<${e.tagName.toLowerCase()} class="${e.getAttribute('class') ?? ''}">`;
	if (document.documentElement.scrollWidth > width) {
		const beyond = [...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > width + 1);
		found.push(`the page is ${document.documentElement.scrollWidth} pixels wide: ${beyond.map((e) => `${describe(e)} to ${Math.round(e.getBoundingClientRect().right)}`).slice(0, 6).join(', ')}`);
	}
	const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest('.skip, svg, select, datalist, noscript') && !clipped(e);
	const clipped = (e) => { // or in front of what is below, on a ground of its own
		for (; e; e = e.parentElement) {
			const style = getComputedStyle(e);
			if (style.clipPath !== 'none' || style.position === 'sticky') {
				return true;
			}
		}
		return false;
	};
	const boxes = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n = walker.nextNode(); n; n = walker.nextNode()) {
		if (n.data.trim() !== '' && shown(n.parentElement)) {
			const range = document.createRange();
			range.selectNodeContents(n);
			for (const r of range.getClientRects()) {
				boxes.push({ e: n.parentElement, text: n.data.trim().slice(0, 40), r });
			}
		}
	}
	for (const e of document.querySelectorAll('input, select, button, a.button, svg')) {
		if (e.checkVisibility() && e.type !== 'hidden' && !clipped(e)) {
			boxes.push({ e, text: describe(e), r: e.getBoundingClientRect() });
		}
	}
	for (const [i, a] of boxes.entries()) {
		for (const b of boxes.slice(i + 1)) {
			const w = Math.min(a.r.right, b.r.right) - Math.max(a.r.left, b.r.left), h = Math.min(a.r.bottom, b.r.bottom) - Math.max(a.r.top, b.r.top);
			if (w > 2 && h > 4 && a.e !== b.e && !a.e.contains(b.e) && !b.e.contains(a.e)) {
				found.push(`${a.text} and ${b.text} cover each other`);
			}
		}
	}
	return found.slice(0, 8);
}
