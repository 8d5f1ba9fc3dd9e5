// How each page looks: on a telephone, in the dark, printed, and to a screen reader. These checks
// take the pictures too.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { check, expect } from '../check.mjs';
import { send, setting, subject } from '../stage.mjs';
import { visit, wide } from '../visit.mjs';
import { each, failedPage } from '../views.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// A window with a name has a picture.
const desktop = { ...wide, name: '' }, tablet = { width: 1024, height: 700 }, phone = { width: 360, height: 740, name: '.narrow' }, smallest = { width: 320, height: 640 };

check('each page in light colours: accessible, and fits into 1440, 1024, 360 and 320 pixels', (browser, note) => look(browser, note, 'light', [desktop, tablet, phone, smallest]));
check('each page in the dark: accessible', (browser, note) => look(browser, note, 'dark', [desktop]));

function look(browser, note, colorScheme, sizes) {
	return visit(browser, { site: 'guarded', colorScheme, allows: failedPage }, async (page) => {
		await send({ subject: subject() }); // so that an upstream is delivering
		await each(browser, page, async (name, faults) => {
			for (const size of sizes) {
				await page.setViewportSize(size);
				for (const fault of await page.evaluate(misplaced)) {
					faults.push(`at ${size.width} pixels: ${fault}`);
				}
				if (size.name !== undefined) {
					await picture(page, `${name}.${colorScheme}${size.name}`);
				}
			}
			await page.setViewportSize(wide);
			await page.evaluate(axe);
			const { violations } = await page.evaluate(() => globalThis.axe.run({ preload: false }));
			for (const v of violations) {
				const text = `${v.impact}: ${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.html} ${n.any[0]?.message ?? ''}`).join('; ')}`;
				if (v.impact === 'serious' || v.impact === 'critical') {
					faults.push(text);
				} else {
					note(`${name}: ${text}`);
				}
			}
		});
	});
}

check('each page, printed', (browser) => visit(browser, { site: 'guarded', colorScheme: 'dark', viewport: { width: 794, height: 1123 }, allows: failedPage }, async (page) => {
	await page.emulateMedia({ media: 'print' });
	await each(browser, page, async (name, faults) => {
		faults.push(...await page.evaluate(misplaced));
		const [ground, ink] = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]);
		const dark = (c) => c.match(/[\d.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) < 384;
		if (dark(ground) && !ground.endsWith(', 0)') || !dark(ink)) {
			faults.push(`the text is ${ink} on ${ground}`);
		}
		for (const control of await page.locator('button, .button, input, nav a').all()) {
			if (await control.isVisible()) {
				faults.push(`a control is printed: ${await control.textContent()}`);
			}
		}
		await picture(page, `${name}.print`);
	});
}));

const picture = (page, name) => page.screenshot({ path: join(setting.pictures, `${name.replace(/^an? /, '').replaceAll(' ', '-')}.png`), fullPage: true });

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
	const clipped = (e) => {
		for (; e; e = e.parentElement) {
			if (getComputedStyle(e).clipPath !== 'none') {
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
