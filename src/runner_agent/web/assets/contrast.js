// Colours that programs give in figures: readable on what they stand on, on light pages and on dark ones.

// As xterm has them; the page's own are made for its own background.
const PALETTE = [0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5, 0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff];
const LEAST = 3;

const figures = (colour) => (typeof colour === "number" ? [PALETTE[colour] >> 16, (PALETTE[colour] >> 8) & 255, PALETTE[colour] & 255] : colour.match(/\d+/g).map(Number));

// Of WCAG 2.
function luminance(colour) {
  const [red, green, blue] = figures(colour).map((each) => (each <= 10 ? each / 3294 : ((each / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function ratio(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

// The colour of a text on a background of figures: what was asked for if it can be read, or black or white.
export function readable(colour, background) {
  if (colour !== undefined && ratio(colour, background) >= LEAST) return `rgb(${figures(colour)})`;
  return luminance(background) > 0.18 ? "rgb(0,0,0)" : "rgb(255,255,255)";
}
