/** All components of the console. */
export * from './controls';
export * from './feedback';
export * from './format';
export * from './icons';
export * from './layout';
export * from './lazy';
export * from './table';
export type { ChartProps, ChartSeries } from './chart';
export type { EditorLanguage, EditorProps } from './editor';
